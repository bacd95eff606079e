/**
 * A rule's input transformer: fields of the event by name, and a JSON template into which they are put.
 * Source: EventBridge user guide, "Amazon EventBridge input transformation" and "Predefined variables".
 */
import { TemplateError } from './errors.ts';

export interface InputTransformer {
  /** Keys and indexes that lead to a field, by the field's name. */
  readonly paths: ReadonlyMap<string, readonly string[]>;
  readonly template: string;
}

/** Its own limit (API reference, InputTransformer). */
const MAX_PATHS = 100;
/** `$`, `.key`, `['key']`, `[0]`: without filters and wildcards, which the guide has none of either. */
const PATH = /^\$(?:\.[\w-]+|\[\d+\]|\['[^']+'\])*$/;
const STEP = /\.([\w-]+)|\[(\d+)\]|\['([^']+)'\]/g;
/** Of the template: texts, in which fields appear as they are, and fields outside of texts, which appear as JSON. */
const PART = /"(?:[^"\\]|\\.)*"|<([\w.-]+)>/g;
const FIELD = /<([\w.-]+)>/g;

/** @throws TemplateError for what does not run locally: other paths, other variables, templates that make texts */
export function parseInputTransformer(
  transformer: { readonly InputPathsMap: Readonly<Record<string, string>>; readonly InputTemplate: string },
  at: string,
): InputTransformer {
  const { InputPathsMap, InputTemplate: template } = transformer;
  const refuse = (message: string) => new TemplateError('unsupported_property', at, message);
  const entries = Object.entries(InputPathsMap);
  if (entries.length > MAX_PATHS) throw refuse(`an input transformer has at most ${MAX_PATHS} paths`);
  const paths = entries.map(([name, path]) => {
    if (!PATH.test(path)) throw refuse(`the path ${path} does not run locally`);
    return [name, [...path.matchAll(STEP)].map(([, ...steps]) => steps.join(''))] as const;
  });
  const known = new Map(paths);
  for (const [, name = ''] of template.matchAll(FIELD)) {
    if (!known.has(name)) throw refuse(`the input template has <${name}>, which no path names`);
  }
  if (!/^\s*[{[]/.test(template)) throw refuse('only input templates that are JSON run locally');
  return { paths: known, template };
}

/** What a target gets for an event, as JSON; undefined where what comes out is none. */
export function transformed({ paths, template }: InputTransformer, event: unknown): string | undefined {
  const field = (name: string) => valueAt(event, paths.get(name) ?? []);
  const text = template.replace(PART, (part, name?: string) => {
    if (name !== undefined) return asJson(field(name));
    return part.replace(FIELD, (_, inText: string) => escaped(field(inText)));
  });
  try {
    return JSON.stringify(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** A field that is not there is an empty text. */
function asJson(value: unknown): string {
  return JSON.stringify(value === undefined ? '' : value);
}

/** Undefined where a step leads nowhere. */
function valueAt(event: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (value, step) =>
      typeof value === 'object' && value !== null && Object.hasOwn(value, step)
        ? (value as Record<string, unknown>)[step]
        : undefined,
    event,
  );
}

/** Within a text: texts and numbers as they are read, objects as JSON. */
function escaped(value: unknown): string {
  if (value === undefined) return '';
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return JSON.stringify(text).slice(1, -1);
}
