/** The route every message falls back to. */
const DEFAULT_ROUTE = '$default';

const LIFECYCLE_ROUTES: ReadonlySet<string> = new Set(['$connect', '$disconnect']);
const BODY = 'request.body';

type Part =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'body'; readonly path: readonly string[] };

/** Gives the route key a message body selects, or nothing where the expression cannot be evaluated on it. */
export type RouteSelector = (body: string) => string | undefined;

/**
 * Compiles a route selection expression: `$request.body.action`, `${request.body.a}/${request.body.b}`, static text,
 * `\$default`. A missing variable is an empty text; values are stringified; a body that is not JSON selects nothing
 * (API Gateway developer guide, "Develop routes for WebSocket APIs").
 */
export function compileRouteSelection(expression: string): RouteSelector {
  const parts = parse(expression);
  if (parts.every((part) => part.kind === 'text')) {
    const key = parts.map((part) => part.text).join('');
    return () => key;
  }
  return (body) => {
    const document = parseJson(body);
    if (document === undefined) return undefined;
    return parts
      .map((part) => (part.kind === 'text' ? part.text : stringAt(document.value, part.path)))
      .join('');
  };
}

/**
 * The key of the route a message takes: the selected one if it exists, else `$default` if that exists, else nothing.
 * A message never reaches `$connect` or `$disconnect`, whatever it selects.
 */
export function chooseRoute(
  selected: string | undefined,
  routes: ReadonlyMap<string, unknown>,
): string | undefined {
  if (selected !== undefined && routes.has(selected) && !LIFECYCLE_ROUTES.has(selected)) return selected;
  return routes.has(DEFAULT_ROUTE) ? DEFAULT_ROUTE : undefined;
}

function parse(expression: string): Part[] {
  const token = /\\\$|\$\{([^}]*)\}|\$([A-Za-z_][\w.[\]]*)|[^\\$]+|[\\$]/g;
  return Array.from(expression.matchAll(token), ([whole, braced, bare]): Part => {
    const variable = braced ?? bare;
    if (variable !== undefined) return { kind: 'body', path: pathOf(variable) };
    return { kind: 'text', text: whole === '\\$' ? '$' : whole };
  });
}

/** The steps below the body. Only the body is known on a message; any other variable leads nowhere. */
function pathOf(variable: string): string[] {
  if (variable === BODY) return [];
  if (!variable.startsWith(`${BODY}.`) && !variable.startsWith(`${BODY}[`)) return ['\u0000'];
  return variable
    .slice(BODY.length)
    .split(/[.[\]]/)
    .filter((step) => step !== '');
}

function parseJson(body: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(body) };
  } catch {
    // Most Engine.IO frames are not JSON: they take the default route.
    return undefined;
  }
}

function stringAt(document: unknown, path: readonly string[]): string {
  let value = document;
  for (const step of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, step)) return '';
    value = (value as Record<string, unknown>)[step];
  }
  return typeof value === 'string' ? value : JSON.stringify(value);
}
