/**
 * How an HTTP API chooses a route (developer guide, "Routing requests"): a full match first, then a path with a
 * greedy variable, then `$default`; of two that fit, the one that says more about the path, then about the method. A
 * greedy variable takes an empty rest as well: a route key cannot end with a slash, and those who need one do with that
 * (observed by others, storacha/w3infra#166).
 */
import type { HttpRoute } from '../template/deployment.ts';

export interface RouteMatch {
  readonly route: HttpRoute;
  /** Decoded; without members where the route has no variable. */
  readonly parameters: Readonly<Record<string, string>>;
}

type Segment =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'greedy'; readonly name: string };

interface CompiledRoute {
  readonly route: HttpRoute;
  /** `ANY` for every method. */
  readonly method: string;
  readonly segments: readonly Segment[];
  /** Sorts before all less specific routes. */
  readonly rank: string;
}

export class HttpRoutes {
  readonly #routes: readonly CompiledRoute[];
  readonly #default: HttpRoute | undefined;

  constructor(routes: readonly HttpRoute[]) {
    this.#default = routes.find(({ key }) => key === '$default');
    this.#routes = routes
      .filter(({ key }) => key !== '$default')
      .map(compile)
      .sort((a, b) => (a.rank < b.rank ? -1 : 1));
  }

  /** The route of a request; undefined where none fits, which is a 404. */
  match(method: string, path: string): RouteMatch | undefined {
    const parts = path.split('/').slice(1);
    for (const { route, method: wanted, segments } of this.#routes) {
      if (wanted !== 'ANY' && wanted !== method) continue;
      const parameters = bind(segments, parts);
      if (parameters !== undefined) return { route, parameters };
    }
    return this.#default === undefined ? undefined : { route: this.#default, parameters: {} };
  }
}

const RANKS = { literal: '0', variable: '1', greedy: '2' } as const;

function compile(route: HttpRoute): CompiledRoute {
  const [method = 'ANY', path = '/'] = route.key.split(' ');
  const segments = path.split('/').slice(1).map(segmentOf);
  const greedy = segments.some(({ kind }) => kind === 'greedy') ? '1' : '0';
  const specificity = segments.map(({ kind }) => RANKS[kind]).join('');
  // The trailing 9 puts the longer of two equal beginnings first.
  return { route, method, segments, rank: `${greedy}${specificity}9${method === 'ANY' ? '1' : '0'}` };
}

function segmentOf(text: string): Segment {
  const [, name, plus] = /^\{([^}+]+)(\+?)\}$/.exec(text) ?? [];
  if (name === undefined) return { kind: 'literal', text };
  return { kind: plus === '+' ? 'greedy' : 'variable', name };
}

function bind(segments: readonly Segment[], parts: readonly string[]): Record<string, string> | undefined {
  const parameters: Record<string, string> = {};
  for (const [index, segment] of segments.entries()) {
    const part = parts[index];
    if (part === undefined || (segment.kind === 'variable' && part === '')) return undefined;
    if (segment.kind === 'greedy') {
      parameters[segment.name] = decode(parts.slice(index).join('/'));
      return parameters;
    }
    if (segment.kind === 'literal') {
      if (decode(part) !== segment.text) return undefined;
    } else {
      parameters[segment.name] = decode(part);
    }
  }
  return segments.length === parts.length ? parameters : undefined;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    // A stray percent sign is taken as it is.
    return text;
  }
}
