/**
 * CloudFormation's intrinsic functions, resolved to local values.
 * Source: CloudFormation user guide, "Intrinsic function reference". What is not here is an error, never a guess.
 */
import { TemplateError } from './errors.ts';

/** What the resolver cannot know by itself. */
export interface References {
  /** `Ref` of a resource, a parameter or a pseudo parameter; undefined where there is no such name. */
  ref(name: string): unknown;
  /** `Fn::GetAtt`; undefined where the resource or attribute is unknown. */
  attribute(logicalId: string, attribute: string): unknown;
  /** The body of a condition; undefined where it is unknown. */
  condition(name: string): unknown;
  mapping(map: string, first: string, second: string): unknown;
  /** Applied to every complete string, for example to turn a deployed URL into a local one. */
  finish(text: string): string;
}

type Evaluate = (resolver: IntrinsicResolver, argument: unknown, at: string) => unknown;

const NO_VALUE = Symbol('AWS::NoValue');

const INTRINSICS: Readonly<Record<string, Evaluate>> = {
  Ref: (resolver, name, at) => resolver.ref(text(name, at), at),
  'Fn::GetAtt': (resolver, argument, at) => {
    const [logicalId, ...rest] = typeof argument === 'string' ? argument.split('.') : list(argument, at);
    const attribute = rest.map((part) => text(resolver.evaluate(part, at), at)).join('.');
    return resolver.attribute(text(logicalId, at), attribute, at);
  },
  'Fn::Join': (resolver, argument, at) => {
    const [separator, parts] = list(argument, at);
    return list(resolver.evaluate(parts, at), at)
      .map((part) => scalar(part, at))
      .join(text(separator, at));
  },
  'Fn::Sub': (resolver, argument, at) => substitute(resolver, argument, at),
  'Fn::Select': (resolver, argument, at) => {
    const [index, from] = list(argument, at);
    const chosen = list(resolver.evaluate(from, at), at)[Number(resolver.evaluate(index, at))];
    if (chosen === undefined) throw new TemplateError('invalid_property', at, 'Fn::Select is out of bounds');
    return chosen;
  },
  'Fn::Split': (resolver, argument, at) => {
    const [separator, from] = list(argument, at);
    return text(resolver.evaluate(from, at), at).split(text(separator, at));
  },
  'Fn::If': (resolver, argument, at) => {
    const [condition, then, otherwise] = list(argument, at);
    return resolver.evaluate(resolver.holds({ Condition: condition }, at) ? then : otherwise, at);
  },
  'Fn::Equals': (resolver, argument, at) => {
    const [left, right] = list(argument, at).map((side) => resolver.evaluate(side, at));
    return JSON.stringify(left) === JSON.stringify(right);
  },
  'Fn::And': (resolver, argument, at) => list(argument, at).every((part) => resolver.holds(part, at)),
  'Fn::Or': (resolver, argument, at) => list(argument, at).some((part) => resolver.holds(part, at)),
  'Fn::Not': (resolver, argument, at) => !resolver.holds(list(argument, at)[0], at),
  'Fn::Base64': (resolver, argument, at) =>
    Buffer.from(text(resolver.evaluate(argument, at), at)).toString('base64'),
  'Fn::FindInMap': (resolver, argument, at) => {
    const [map, first, second] = list(argument, at).map((key) => text(resolver.evaluate(key, at), at));
    return resolver.mapping(map ?? '', first ?? '', second ?? '', at);
  },
};

export class IntrinsicResolver {
  readonly #references: References;

  constructor(references: References) {
    this.#references = references;
  }

  /**
   * A copy of `value` without intrinsic functions; what resolves to `AWS::NoValue` is left out.
   *
   * @throws TemplateError `unsupported_intrinsic` or `unknown_reference`, with the place in the template.
   */
  resolve(value: unknown, at: string): unknown {
    const resolved = this.evaluate(value, at);
    return resolved === NO_VALUE ? undefined : resolved;
  }

  /** Whether a condition expression, or `{ Condition: name }`, is true. */
  holds(expression: unknown, at: string): boolean {
    const name =
      isRecord(expression) && Object.keys(expression).length === 1 ? expression.Condition : undefined;
    if (name === undefined) return this.evaluate(expression, at) === true;
    const body = this.#references.condition(text(name, at));
    if (body === undefined)
      throw new TemplateError('unknown_reference', at, `no condition named "${String(name)}"`);
    return this.holds(body, `Conditions/${String(name)}`);
  }

  /** As `resolve`, with `AWS::NoValue` still in place. */
  evaluate(value: unknown, at: string): unknown {
    if (typeof value === 'string') return this.#references.finish(value);
    if (Array.isArray(value)) {
      return value
        .map((item, index) => this.evaluate(item, `${at}/${index}`))
        .filter((item) => item !== NO_VALUE);
    }
    if (!isRecord(value)) return value;
    const [name, ...others] = Object.keys(value);
    if (name !== undefined && others.length === 0 && (name === 'Ref' || name.startsWith('Fn::'))) {
      return this.#call(name, value[name], at);
    }
    const entries = Object.entries(value).map(
      ([key, item]) => [key, this.evaluate(item, `${at}/${key}`)] as const,
    );
    return Object.fromEntries(entries.filter(([, item]) => item !== NO_VALUE));
  }

  ref(name: string, at: string): unknown {
    if (name === 'AWS::NoValue') return NO_VALUE;
    const value = this.#references.ref(name);
    if (value === undefined)
      throw new TemplateError('unknown_reference', at, `Ref to "${name}" has no local value`);
    return value;
  }

  attribute(logicalId: string, attribute: string, at: string): unknown {
    const value = this.#references.attribute(logicalId, attribute);
    if (value !== undefined) return value;
    throw new TemplateError('unknown_reference', at, `GetAtt ${logicalId}.${attribute} has no local value`);
  }

  mapping(map: string, first: string, second: string, at: string): unknown {
    const value = this.#references.mapping(map, first, second);
    if (value !== undefined) return value;
    throw new TemplateError('unknown_reference', at, `no mapping ${map}/${first}/${second}`);
  }

  #call(name: string, argument: unknown, at: string): unknown {
    const evaluate = INTRINSICS[name];
    if (evaluate === undefined) {
      throw new TemplateError('unsupported_intrinsic', at, `${name} cannot be resolved locally`);
    }
    const value = evaluate(this, argument, at);
    return typeof value === 'string' ? this.#references.finish(value) : value;
  }
}

/** `${Name}`, `${Resource.Attribute}`, `${!Literal}`, and local variables in the two-argument form. */
function substitute(resolver: IntrinsicResolver, argument: unknown, at: string): string {
  const [template, given] = typeof argument === 'string' ? [argument, {}] : list(argument, at);
  const variables = isRecord(given) ? given : {};
  return text(template, at).replace(/\$\{(!?)([^}]*)\}/g, (_match, literal: string, name: string) => {
    if (literal === '!') return `\${${name}}`;
    if (Object.hasOwn(variables, name)) return scalar(resolver.evaluate(variables[name], at), at);
    const dot = name.indexOf('.');
    if (dot < 0) return scalar(resolver.ref(name, at), at);
    return scalar(resolver.attribute(name.slice(0, dot), name.slice(dot + 1), at), at);
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function list(value: unknown, at: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw new TemplateError('invalid_property', at, 'a list was expected here');
}

function text(value: unknown, at: string): string {
  if (typeof value === 'string') return value;
  throw new TemplateError('invalid_property', at, 'a text was expected here');
}

function scalar(value: unknown, at: string): string {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    return String(value);
  throw new TemplateError('invalid_property', at, 'a text or a number was expected here');
}
