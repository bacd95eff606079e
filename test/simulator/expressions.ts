/**
 * Condition and update expressions, as far as the stores write them (DynamoDB developer guide, "Expressions"). Each is
 * parsed once; what is not understood throws.
 */
export type Row = Readonly<Record<string, unknown>>;

export interface Names {
  readonly ExpressionAttributeNames?: Readonly<Record<string, string>>;
  readonly ExpressionAttributeValues?: Row;
}

type Path = readonly (string | number)[];
type Read = (row: Row, names: Names) => unknown;
type Condition = (row: Row, names: Names) => boolean;
type Change = (row: Row, before: Row, names: Names) => Row;

const conditions = new Map<string, Condition>();
const updates = new Map<string, Change>();

export function isMet(expression: string | undefined, row: Row, names: Names): boolean {
  if (expression === undefined) return true;
  return once(conditions, expression, () => new Parser(expression).condition())(row, names);
}

/** The row after an update; rows and what they hold are never changed in place. */
export function updated(expression: string, before: Row, names: Names): Row {
  return once(updates, expression, () => new Parser(expression).update())(before, before, names);
}

function once<T>(known: Map<string, T>, expression: string, parse: () => T): T {
  const found = known.get(expression) ?? parse();
  known.set(expression, found);
  return found;
}

class Parser {
  readonly #text: string;
  readonly #tokens: string[];

  constructor(text: string) {
    this.#text = text;
    this.#tokens = text.match(/<=|>=|<>|[()=<>,+-]|[#:\w.[\]]+/g) ?? [];
  }

  condition(): Condition {
    const condition = this.#or();
    if (this.#tokens.length > 0) throw this.#unknown();
    return condition;
  }

  update(): Change {
    const changes: Change[] = [];
    while (this.#tokens.length > 0) {
      const clause = this.#next();
      if (clause !== 'SET' && clause !== 'REMOVE') throw this.#unknown();
      changes.push(clause === 'SET' ? inTurn(this.#list(() => this.#assignment())) : this.#removals());
    }
    return inTurn(changes);
  }

  #or(): Condition {
    const parts = [this.#and()];
    while (this.#skip('OR')) parts.push(this.#and());
    return (row, names) => parts.some((part) => part(row, names));
  }

  #and(): Condition {
    const parts = [this.#term()];
    while (this.#skip('AND')) parts.push(this.#term());
    return (row, names) => parts.every((part) => part(row, names));
  }

  #term(): Condition {
    if (this.#skip('NOT')) {
      const term = this.#term();
      return (row, names) => !term(row, names);
    }
    if (this.#skip('(')) {
      const inner = this.#or();
      this.#expect(')');
      return inner;
    }
    const [name] = this.#tokens;
    if (name === 'attribute_exists' || name === 'attribute_not_exists') {
      this.#next();
      const read = this.#inBrackets(() => this.#operand());
      return (row, names) => (read(row, names) !== undefined) === (name === 'attribute_exists');
    }
    return this.#comparison(this.#operand());
  }

  #comparison(left: Read): Condition {
    const sign = this.#next();
    if (sign === 'IN') {
      const values = this.#inBrackets(() => this.#list(() => this.#operand()));
      return (row, names) => values.some((value) => isEqual(left(row, names), value(row, names)));
    }
    const holds = COMPARISONS[sign];
    if (holds === undefined) throw this.#unknown();
    const right = this.#operand();
    return (row, names) => {
      const [one, other] = [left(row, names), right(row, names)];
      // Nothing compares with an attribute that is not there, but that it differs.
      return one === undefined || other === undefined ? sign === '<>' : holds(one, other);
    };
  }

  #assignment(): Change {
    const path = this.#path();
    this.#expect('=');
    const value = this.#sum();
    return (row, before, names) => replaced(row, resolved(path, names), value(before, names));
  }

  #removals(): Change {
    const paths = this.#list(() => this.#path());
    return (row, _before, names) =>
      // The last elements of a list first, so that the numbers of the others stay.
      paths
        .map((path) => resolved(path, names))
        .sort((one, other) => Number(other.at(-1)) - Number(one.at(-1)) || 0)
        .reduce((changed, path) => replaced(changed, path, undefined), row);
  }

  #sum(): Read {
    const first = this.#operand();
    const sign = this.#tokens[0];
    if (sign !== '+' && sign !== '-') return first;
    this.#next();
    const second = this.#operand();
    return (row, names) => Number(first(row, names)) + (sign === '+' ? 1 : -1) * Number(second(row, names));
  }

  #operand(): Read {
    const [name = ''] = this.#tokens;
    if (!FUNCTIONS.has(name)) return this.#value();
    this.#next();
    const [first, second] = this.#inBrackets(() => this.#list(() => this.#operand()));
    if (first === undefined) throw this.#unknown();
    if (name === 'size') return (row, names) => sizeOf(first(row, names));
    if (second === undefined) throw this.#unknown();
    if (name === 'if_not_exists') return (row, names) => first(row, names) ?? second(row, names);
    return (row, names) => [...(first(row, names) as []), ...(second(row, names) as [])];
  }

  #value(): Read {
    if (!this.#tokens[0]?.startsWith(':')) {
      const path = this.#path();
      return (row, names) => valueAt(row, resolved(path, names));
    }
    const name = this.#next();
    return (_row, { ExpressionAttributeValues: values = {} }) => {
      if (!Object.hasOwn(values, name)) throw new Error(`no value ${name}`);
      return values[name];
    };
  }

  #path(): string {
    return this.#next();
  }

  #inBrackets<T>(parse: () => T): T {
    this.#expect('(');
    const inner = parse();
    this.#expect(')');
    return inner;
  }

  #list<T>(parse: () => T): T[] {
    const parts = [parse()];
    while (this.#skip(',')) parts.push(parse());
    return parts;
  }

  #skip(token: string): boolean {
    if (this.#tokens[0] !== token) return false;
    this.#tokens.shift();
    return true;
  }

  #expect(token: string): void {
    if (!this.#skip(token)) throw this.#unknown();
  }

  #next(): string {
    const token = this.#tokens.shift();
    if (token === undefined) throw this.#unknown();
    return token;
  }

  #unknown(): Error {
    return new Error(`not understood at "${this.#tokens.join(' ')}": ${this.#text}`);
  }
}

const FUNCTIONS: ReadonlySet<string> = new Set(['size', 'if_not_exists', 'list_append']);

const COMPARISONS: Readonly<Record<string, (one: unknown, other: unknown) => boolean>> = {
  '=': isEqual,
  '<>': (one, other) => !isEqual(one, other),
  '<': (one, other) => (one as number) < (other as number),
  '<=': (one, other) => (one as number) <= (other as number),
  '>': (one, other) => (one as number) > (other as number),
  '>=': (one, other) => (one as number) >= (other as number),
};

function inTurn(changes: readonly Change[]): Change {
  return (row, before, names) => changes.reduce((changed, change) => change(changed, before, names), row);
}

function isEqual(one: unknown, other: unknown): boolean {
  if (one instanceof Uint8Array && other instanceof Uint8Array) return Buffer.compare(one, other) === 0;
  return one === other;
}

function sizeOf(value: unknown): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'string') return Buffer.byteLength(value);
  return value instanceof Uint8Array ? value.byteLength : Object.keys(value as object).length;
}

function resolved(path: string, { ExpressionAttributeNames: names = {} }: Names): Path {
  return path.split('.').flatMap((part) => {
    const [, name = '', index] = /^([^[]+)(?:\[(\d+)\])?$/.exec(part) ?? [];
    const own = name.startsWith('#') ? names[name] : name;
    if (own === undefined) throw new Error(`no name ${name}`);
    return index === undefined ? [own] : [own, Number(index)];
  });
}

function valueAt(row: Row, path: Path): unknown {
  let value: unknown = row;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string | number, unknown>)[part];
  }
  return value;
}

/** The row with another value at a path, or none; everything else is shared with the row before. */
function replaced(row: Row, path: Path, value: unknown): Row {
  return changedAt(row, path, value) as Row;
}

function changedAt(holder: unknown, [first = '', ...rest]: Path, value: unknown): unknown {
  if (typeof holder !== 'object' || holder === null) throw new Error(`nothing to write ${first} into`);
  const inner = (holder as Record<string | number, unknown>)[first];
  const changed = rest.length === 0 ? value : changedAt(inner, rest, value);
  if (Array.isArray(holder)) {
    if (changed === undefined) return holder.filter((_, at) => at !== first);
    return holder.map((element, at) => (at === first ? changed : element));
  }
  if (changed !== undefined) return { ...holder, [first]: changed };
  const { [first]: _, ...others } = holder as Record<string | number, unknown>;
  return others;
}
