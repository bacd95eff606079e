/**
 * The event of a viewer-request function, from a request and back to one.
 * Source: CloudFront developer guide, "CloudFront Functions event structure".
 */
import type { Arrival } from '../gateway/arrival.ts';

interface Value {
  readonly value: string;
  /** Every occurrence, where there are several; `value` is the first. */
  readonly multiValue?: readonly { readonly value: string }[] | undefined;
}

type Values = Readonly<Record<string, Value>>;

export interface ViewerRequest {
  readonly method: string;
  /** Undecoded, without the query. */
  readonly uri: string;
  readonly querystring: Values;
  /** By name in small letters; without cookies. */
  readonly headers: Values;
  readonly cookies: Values;
}

/** They concern one connection, and a function cannot see them ("Restrictions on edge functions"). */
const UNSEEN: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'proxy-connection', 'upgrade']);

export function viewerRequest(method: string, { path, query, rawHeaders }: Arrival): ViewerRequest {
  const headers = pairs(rawHeaders).map(([name, value]) => [name.toLowerCase(), value] as const);
  const cookies = headers.filter(([name]) => name === 'cookie').flatMap(([, value]) => value.split(/;\s*/));
  return {
    method,
    uri: path,
    querystring: grouped(
      query
        .split('&')
        .filter((part) => part !== '')
        .map(named),
    ),
    headers: grouped(headers.filter(([name]) => name !== 'cookie' && !UNSEEN.has(name))),
    cookies: grouped(cookies.filter((cookie) => cookie !== '').map(named)),
  };
}

/** The request that a function returned. What it left as it was keeps its spelling. */
export function returnedRequest(given: ViewerRequest, returned: ViewerRequest, arrival: Arrival): Arrival {
  return {
    ...arrival,
    path: returned.uri,
    query: same(given.querystring, returned.querystring)
      ? arrival.query
      : flat(returned.querystring)
          .map(([name, value]) => (value === '' ? name : `${name}=${value}`))
          .join('&'),
    rawHeaders:
      same(given.headers, returned.headers) && same(given.cookies, returned.cookies)
        ? arrival.rawHeaders
        : [...unseen(arrival), ...flat(returned.headers).flat(), ...cookieHeader(returned.cookies)],
  };
}

export function pairs(raw: readonly string[]): [name: string, value: string][] {
  return raw.flatMap((name, index) => (index % 2 === 0 ? [[name, raw[index + 1] ?? '']] : []));
}

function named(text: string): [name: string, value: string] {
  const sign = text.indexOf('=');
  return sign < 0 ? [text, ''] : [text.slice(0, sign), text.slice(sign + 1)];
}

function grouped(entries: readonly (readonly [name: string, value: string])[]): Values {
  const all = new Map<string, string[]>();
  for (const [name, value] of entries) all.set(name, [...(all.get(name) ?? []), value]);
  return Object.fromEntries(
    [...all].map(([name, values]) => {
      const [value = ''] = values;
      return [
        name,
        values.length === 1 ? { value } : { value, multiValue: values.map((one) => ({ value: one })) },
      ];
    }),
  );
}

function flat(values: Values): [name: string, value: string][] {
  return Object.entries(values).flatMap(([name, { value, multiValue }]) =>
    (multiValue ?? [{ value }]).map((one): [string, string] => [name, one.value]),
  );
}

function cookieHeader(cookies: Values): string[] {
  const text = flat(cookies).map(([name, value]) => `${name}=${value}`);
  return text.length === 0 ? [] : ['cookie', text.join('; ')];
}

function unseen({ rawHeaders }: Arrival): string[] {
  return pairs(rawHeaders)
    .filter(([name]) => UNSEEN.has(name.toLowerCase()))
    .flat();
}

function same(given: Values, returned: Values): boolean {
  return JSON.stringify(given) === JSON.stringify(returned);
}
