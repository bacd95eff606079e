import { beforeEach, describe, expect, test } from 'vitest';
import { EDGE_ADDRESS, FrontDoor } from '../../../local/front-door/front-door.ts';
import { type Arrival, headerValues } from '../../../local/gateway/arrival.ts';
import type { LogEntry } from '../../../local/host/invocation.ts';
import type { FrontDoorDefinition } from '../../../local/template/deployment.ts';

const origin = (api: 'HTTP' | 'WEBSOCKET', more = {}) => ({
  api,
  domainName: `${api.toLowerCase()}.example.com`,
  path: '',
  headers: {},
  ...more,
});

let log: LogEntry[] = [];
beforeEach(() => {
  log = [];
});

/** A door whose function has this body; `/direct*` goes to the WebSocket API without it. */
function door(body: string, origins: Record<string, object> = {}): FrontDoor {
  const definition: FrontDoorDefinition = {
    origins: new Map(
      Object.entries({
        http: origin('HTTP'),
        ws: origin('WEBSOCKET', { path: '/prod', headers: { 'x-api-key': 'k' } }),
        ...origins,
      }) as [string, ReturnType<typeof origin>][],
    ),
    behaviors: [
      { pathPattern: '/direct*', originId: 'ws', viewerRequest: undefined },
      { pathPattern: '*.p?g', originId: 'ws', viewerRequest: undefined },
      {
        pathPattern: '*',
        originId: 'http',
        viewerRequest: `import cf from 'cloudfront';\nfunction handler(event) { ${body} }`,
      },
    ],
  };
  return new FrontDoor(definition, (entry) => log.push(entry));
}

const arrival = (path = '/', more: Partial<Arrival> = {}): Arrival => ({
  path,
  query: '',
  rawHeaders: ['Host', 'door.example', 'Accept', '*/*'],
  sourceIp: '198.51.100.7',
  ...more,
});

/** What reached an API, or a failure. */
function passed(frontDoor: FrontDoor, what: Arrival, method = 'GET') {
  const passage = frontDoor.enter(method, what);
  if (passage.kind !== 'origin') throw new Error(`answered ${passage.response.status}`);
  return passage;
}

/** What the function is given, as the answer's body. */
function event(what: Arrival, method = 'GET') {
  const passage = door('return { statusCode: 200, body: JSON.stringify(event) };').enter(method, what);
  if (passage.kind !== 'response') throw new Error('passed on');
  return JSON.parse(passage.response.body.toString()) as Record<string, Record<string, unknown>>;
}

describe('a request at the front door', () => {
  test('is shown to the function as CloudFront shows it', () => {
    const query = 'EIO=4&t=a%20b&x=1&x=2&flag';
    const rawHeaders = [
      'Host',
      'door',
      'X-A',
      '1',
      'x-a',
      '2',
      'Cookie',
      'a=1; b=2',
      'Connection',
      'Upgrade',
    ];
    expect(event(arrival('/socket.io/', { query, rawHeaders }), 'POST')).toEqual({
      version: '1.0',
      context: { eventType: 'viewer-request', requestId: expect.any(String) },
      viewer: { ip: '198.51.100.7' },
      request: {
        method: 'POST',
        uri: '/socket.io/',
        querystring: {
          EIO: { value: '4' },
          t: { value: 'a%20b' },
          x: { value: '1', multiValue: [{ value: '1' }, { value: '2' }] },
          flag: { value: '' },
        },
        headers: {
          host: { value: 'door' },
          'x-a': { value: '1', multiValue: [{ value: '1' }, { value: '2' }] },
        },
        cookies: { a: { value: '1' }, b: { value: '2' } },
      },
    });
  });

  test('goes to the origin of the first behaviour that fits, below the origin’s path', () => {
    const frontDoor = door('return event.request;');
    expect(passed(frontDoor, arrival('/direct/x'))).toMatchObject({
      api: 'WEBSOCKET',
      arrival: { path: '/prod/direct/x' },
    });
    expect(passed(frontDoor, arrival('/a.png'))).toMatchObject({ api: 'WEBSOCKET' });
    expect(passed(frontDoor, arrival('/Direct'))).toMatchObject({
      api: 'HTTP',
      arrival: { path: '/Direct' },
    });
    expect(passed(frontDoor, arrival('/apng'))).toMatchObject({ api: 'HTTP' });
  });

  test('goes to the origin that the function selects, and the next one does not', () => {
    const frontDoor = door(
      "if (event.request.uri === '/ws') { event.request.uri = '/'; cf.selectRequestOriginById('ws'); } return event.request;",
    );
    expect(passed(frontDoor, arrival('/ws'))).toMatchObject({
      api: 'WEBSOCKET',
      arrival: { path: '/prod/' },
    });
    expect(passed(frontDoor, arrival('/other'))).toMatchObject({ api: 'HTTP', arrival: { path: '/other' } });
  });

  test('keeps query and headers as they were sent, but for what a proxy changes', () => {
    const rawHeaders = ['Host', 'door', 'X-Forwarded-For', '1.2.3.4', 'X-API-Key', 'forged', 'X-Own', 'ü'];
    const what = arrival('/direct', { query: 'a=b%20c&&flag', rawHeaders });
    const { arrival: seen } = passed(door('return event.request;'), what);
    expect(seen).toMatchObject({ query: 'a=b%20c&&flag', sourceIp: EDGE_ADDRESS });
    expect(headerValues(seen, 'host')).toEqual(['websocket.example.com']);
    expect(headerValues(seen, 'x-forwarded-for')).toEqual(['1.2.3.4, 198.51.100.7']);
    expect(headerValues(seen, 'x-api-key')).toEqual(['k']);
    expect(headerValues(seen, 'x-own')).toEqual(['ü']);
    expect(headerValues(seen, 'via')).toEqual([expect.stringContaining('CloudFront')]);
  });

  test('takes what the function changes', () => {
    const change = `var r = event.request; r.querystring = { a: { value: '1' }, b: { value: '' } };
      r.headers['x-new'] = { value: 'n' }; r.cookies = { c: { value: '3' } }; return r;`;
    const { arrival: seen } = passed(door(change), arrival('/', { query: 'z=1' }));
    expect(seen.query).toBe('a=1&b');
    expect(headerValues(seen, 'x-new')).toEqual(['n']);
    expect(headerValues(seen, 'cookie')).toEqual(['c=3']);
  });

  test('is answered at the door where the function says so', () => {
    const body = "return { statusCode: 302, headers: { location: { value: '/x' } } };";
    expect(door(body).enter('GET', arrival())).toEqual({
      kind: 'response',
      response: { status: 302, headers: { location: '/x' }, body: Buffer.alloc(0) },
    });
  });

  test.each([
    ['throws', "throw new Error('no');", /Error: no$/],
    ['never ends', 'for (;;) {}', /timed out/],
    ['returns nothing', '', /neither a request nor a response/],
    ['changes the method', "event.request.method = 'PUT'; return event.request;", /neither a request/],
    ['reaches out of its box', 'return process.env;', /process is not defined/],
  ])('gets 503 where the function %s, and the log says why', (_what, body, line) => {
    const response = { status: 503 };
    expect(door(body).enter('GET', arrival())).toMatchObject({ kind: 'response', response });
    expect(log).toEqual([
      {
        function: 'front-door',
        requestId: expect.any(String),
        stream: 'platform',
        line: expect.stringMatching(line),
      },
    ]);
  });

  test('gets 502 where the function selects an origin that is not there', () => {
    const body = "cf.selectRequestOriginById('x'); return event.request;";
    expect(door(body).enter('GET', arrival())).toMatchObject({ kind: 'response', response: { status: 502 } });
  });

  test('passes on a machine that has little time for the function', () => {
    const body = 'for (const end = Date.now() + 250; Date.now() < end; ); return event.request;';
    passed(door(body), arrival());
    expect(log).toEqual([]);
  });
});
