/** Example values made from the definitions' own schemas, so that no event is described twice. */
import * as z from 'zod/mini';

/** Draft 2020-12, as far as zod writes it. */
const jsonSchema = z.object({
  type: z.optional(z.union([z.string(), z.array(z.string())])),
  const: z.optional(z.unknown()),
  enum: z.optional(z.array(z.unknown())),
  default: z.optional(z.unknown()),
  examples: z.optional(z.array(z.unknown())),
  format: z.optional(z.string()),
  minimum: z.optional(z.number()),
  get properties() {
    return z.optional(z.record(z.string(), jsonSchema));
  },
  required: z.optional(z.array(z.string())),
  get items() {
    return z.optional(z.union([jsonSchema, z.literal(false)]));
  },
  get prefixItems() {
    return z.optional(z.array(jsonSchema));
  },
  get anyOf() {
    return z.optional(z.array(jsonSchema));
  },
  get oneOf() {
    return z.optional(z.array(jsonSchema));
  },
  get allOf() {
    return z.optional(z.array(jsonSchema));
  },
});
type JsonSchema = z.output<typeof jsonSchema>;

export interface Example {
  /** JSON; undefined where the event carries nothing. */
  readonly payload: unknown;
  /** Keys that may be added to it. */
  readonly optional: readonly string[];
}

/** A payload that the schema accepts, with its required keys only; none where none is asked for. */
export function exampleOf(schema: z.core.$ZodType | undefined): Example {
  if (schema === undefined || z.safeParse(schema, undefined).success) {
    return { payload: undefined, optional: [] };
  }
  const json = jsonSchema.safeParse(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }));
  if (!json.success) return { payload: {}, optional: [] };
  return { payload: exampleValue(json.data, 'text'), optional: optionalKeys(json.data) };
}

function optionalKeys(schema: JsonSchema): string[] {
  const object = chosen(schema);
  const required = new Set(object.required);
  return Object.keys(object.properties ?? {}).filter((key) => !required.has(key));
}

function exampleValue(schema: JsonSchema, key: string): unknown {
  const given = [...(schema.examples ?? []), schema.default, schema.const, ...(schema.enum ?? [])];
  const [first] = given.filter((value) => value !== undefined);
  if (first !== undefined) return first;
  const picked = chosen(schema);
  if (picked !== schema) return exampleValue(picked, key);
  switch (typeOf(schema)) {
    case 'object':
      return objectOf(schema);
    case 'array':
      return arrayOf(schema, key);
    case 'string':
      return schema.format === 'date-time' ? new Date().toISOString() : key;
    case 'integer':
    case 'number':
      return Math.max(schema.minimum ?? 1, 1);
    case 'boolean':
      return true;
    default:
      // Any JSON.
      return {};
  }
}

/** Of several forms the object, which says most, then a number, which is what ids mostly are. */
function chosen(schema: JsonSchema): JsonSchema {
  const forms = schema.anyOf ?? schema.oneOf ?? schema.allOf;
  if (forms === undefined) return schema;
  const byType = (...types: string[]) => forms.find((form) => types.includes(typeOf(form)));
  return byType('object') ?? byType('integer', 'number') ?? forms[0] ?? schema;
}

function typeOf({ type = '' }: JsonSchema): string {
  return typeof type === 'string' ? type : (type.find((each) => each !== 'null') ?? '');
}

function objectOf({ properties = {}, required = [] }: JsonSchema): Record<string, unknown> {
  return Object.fromEntries(
    required.map((key) => {
      const property = properties[key];
      return [key, property === undefined ? {} : exampleValue(property, key)];
    }),
  );
}

function arrayOf({ prefixItems, items }: JsonSchema, key: string): unknown[] {
  if (prefixItems !== undefined) return prefixItems.map((item) => exampleValue(item, key));
  return items === undefined || items === false ? [] : [exampleValue(items, key)];
}
