import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import {
  ApiGatewayManagementApiClient,
  DeleteConnectionCommand,
  GoneException,
} from '@aws-sdk/client-apigatewaymanagementapi';
import { mockClient } from 'aws-sdk-client-mock';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ManagementWire, type ManagementWireParts } from '../../lambdas/adapters/management-wire.ts';
import { CREDENTIALS, TestGateway } from '../local/gateway/support.ts';
import { FakeClock, FakeLog } from '../support/world.ts';

const ID = 'L0SM9cOFvHcCIhw=';

interface Seen {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** An edge that answers as a test says, and counts its connections. */
class Edge {
  readonly seen: Seen[] = [];
  readonly sockets = new Set<Socket>();
  answer: (response: ServerResponse, seen: Seen) => void = (response) => response.end();
  readonly #server: Server;

  constructor() {
    this.#server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const seen = {
        method: request.method ?? '',
        url: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(chunks).toString(),
      };
      this.seen.push(seen);
      this.answer(response, seen);
    });
    this.#server.on('connection', (socket) => this.sockets.add(socket));
  }

  async start(): Promise<string> {
    await once(this.#server.listen(0, '127.0.0.1'), 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/prod`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

function wireTo(endpoint: string, parts: Partial<ManagementWireParts> = {}) {
  const log = new FakeLog();
  const clock = new FakeClock();
  const wire = new ManagementWire({
    endpoint,
    credentials: async () => CREDENTIALS,
    region: async () => 'eu-west-1',
    clock,
    log,
    ...parts,
  });
  ends.push(() => wire.destroy());
  return { wire, log, clock };
}

async function edgeAndWire(parts: Partial<ManagementWireParts> = {}) {
  const edge = new Edge();
  const endpoint = await edge.start();
  ends.push(() => edge.stop());
  return { edge, endpoint, ...wireTo(endpoint, parts) };
}

describe('a post', () => {
  test('is the frame as it is, signed, to the encoded connection id', async () => {
    const { edge, wire } = await edgeAndWire();
    expect(await wire.post(ID, '42["é"]')).toBe('ok');
    expect(edge.seen).toMatchObject([
      {
        method: 'POST',
        url: '/prod/%40connections/L0SM9cOFvHcCIhw%3D',
        body: '42["é"]',
        headers: {
          'x-amz-date': '20260101T000000Z',
          'x-amz-security-token': CREDENTIALS.sessionToken,
          authorization: expect.stringContaining('/20260101/eu-west-1/execute-api/aws4_request, '),
        },
      },
    ]);
  });

  test.each([
    ['gone', 410],
    ['throttled', 429],
    ['refused', 413],
    ['refused', 403],
    ['failed', 500],
    ['failed', 302],
  ] as const)('is %s after a %i, and tried once', async (outcome, status) => {
    const { edge, wire } = await edgeAndWire();
    edge.answer = (response) => response.writeHead(status, { location: '/' }).end('an explanation');
    expect(await wire.post(ID, '2')).toBe(outcome);
    expect(edge.seen).toHaveLength(1);
  });

  test('is what its status says even if the rest of the answer never comes', async () => {
    const { edge, wire } = await edgeAndWire();
    edge.answer = (response) => {
      response.writeHead(410, { 'content-length': 10 }).write('half', () => response.destroy());
    };
    expect(await wire.post(ID, '2')).toBe('gone');
    edge.answer = (response) => response.end();
    expect(await wire.post(ID, '2')).toBe('ok');
  });

  test('has failed where nobody listens', async () => {
    const { edge, endpoint, wire, log } = await edgeAndWire();
    await edge.stop();
    expect(await wire.post(ID, '2')).toBe('failed');
    expect(log.lines).toMatchObject([{ level: 'warn', fields: { error: { code: 'ECONNREFUSED' } } }]);
    expect(endpoint).not.toBe('');
  });

  test('has failed where the connection ends without an answer, and the next one gets a new one', async () => {
    const { edge, wire } = await edgeAndWire();
    await wire.post(ID, '2');
    edge.answer = (response) => response.destroy();
    expect(await wire.post(ID, '2')).toBe('failed');
    edge.answer = (response) => response.end();
    expect(await wire.post(ID, '2')).toBe('ok');
    expect(edge.sockets.size).toBe(2);
  });

  test('has failed after the deadline, those that still wait for a connection as well', async () => {
    const { edge, wire, log } = await edgeAndWire({ pool: { deadlineMs: 500, maxSockets: 1 } });
    edge.answer = () => {};
    expect(await Promise.all([wire.post(ID, '1'), wire.post(ID, '2'), wire.post(ID, '3')])).toEqual([
      'failed',
      'failed',
      'failed',
    ]);
    expect(log.lines[0]).toMatchObject({ level: 'warn', fields: { error: { code: 'deadline' } } });
    edge.answer = (response) => response.end();
    expect(await wire.post(ID, '4')).toBe('ok');
    // One that waits may get the connection of the one before it in the moment between their deadlines.
    const bodies = edge.seen.map(({ body }) => body);
    expect([bodies.at(0), bodies.at(-1)]).toEqual(['1', '4']);
  });

  test('has failed without credentials, and works as soon as there are some', async () => {
    let there = false;
    const { edge, wire } = await edgeAndWire({
      credentials: async () => {
        if (!there) throw new Error('no credentials');
        return CREDENTIALS;
      },
    });
    expect(await wire.post(ID, '2')).toBe('failed');
    there = true;
    expect(await wire.post(ID, '2')).toBe('ok');
    expect(edge.seen).toHaveLength(1);
  });

  test('has failed where it cannot even be written down', async () => {
    const { wire } = await edgeAndWire({
      credentials: async () => ({ ...CREDENTIALS, sessionToken: 'two\nlines' }),
    });
    expect(await wire.post(ID, '2')).toBe('failed');
    expect(await wire.post('\ud800', '2')).toBe('failed');
  });

  test('is signed with the credentials of its time', async () => {
    let token = 'first';
    const { edge, wire, clock } = await edgeAndWire({
      credentials: async () => ({ ...CREDENTIALS, sessionToken: token }),
    });
    await wire.post(ID, '2');
    token = 'second';
    clock.advance(1_000);
    await wire.post(ID, '2');
    expect(edge.seen.map(({ headers }) => [headers['x-amz-date'], headers['x-amz-security-token']])).toEqual([
      ['20260101T000000Z', 'first'],
      ['20260101T000001Z', 'second'],
    ]);
  });
});

describe('the pool', () => {
  test('uses one connection for posts one after the other, and no more than it may for many', async () => {
    const { edge, wire } = await edgeAndWire({ pool: { maxSockets: 3 } });
    for (let n = 0; n < 5; n += 1) await wire.post(ID, '2');
    expect(edge.sockets.size).toBe(1);
    await Promise.all(Array.from({ length: 40 }, (_, n) => wire.post(ID, `2${n % 20}`)));
    expect(edge.sockets.size).toBe(3);
    expect(new Set(edge.seen.map(({ body }) => body)).size).toBe(21);
  });

  test('gives up a connection that has been idle for long', async () => {
    const { edge, wire } = await edgeAndWire({ pool: { idleMs: 20 } });
    await wire.post(ID, '2');
    const [first] = edge.sockets;
    await once(first!, 'close');
    expect(await wire.post(ID, '2')).toBe('ok');
    expect(edge.sockets.size).toBe(2);
  });
});

describe('what is logged of failed posts', () => {
  test('is nothing where the client has gone', async () => {
    const { edge, wire, log } = await edgeAndWire();
    edge.answer = (response) => response.writeHead(410).end();
    await wire.post(ID, '2');
    expect(log.lines).toEqual([]);
  });

  test('is one warning for each reason in ten seconds, which counts those before it, and never a payload', async () => {
    const { edge, wire, log, clock } = await edgeAndWire();
    const warnings = () => log.lines.filter(({ level }) => level === 'warn');
    edge.answer = (response) =>
      response.writeHead(403, { 'x-amzn-errortype': 'AccessDeniedException' }).end();
    for (let n = 0; n < 100; n += 1) await wire.post(ID, '42["secret"]');
    expect(warnings()).toMatchObject([
      { fields: { connectionId: ID, outcome: 'refused', status: 403, type: 'AccessDeniedException' } },
    ]);
    edge.answer = (response) => response.destroy();
    await wire.post(ID, '42["secret"]');
    expect(warnings()).toHaveLength(2);
    edge.answer = (response) =>
      response.writeHead(403, { 'x-amzn-errortype': 'AccessDeniedException' }).end();
    clock.advance(10_000);
    await wire.post(ID, '42["secret"]');
    expect(warnings()[2]).toMatchObject({ fields: { silent: 99 } });
    expect(log.lines.filter(({ level }) => level === 'debug')).toHaveLength(99);
    expect(JSON.stringify(log.lines)).not.toContain('secret');
  });
});

describe('on the local gateway, which checks every signature', () => {
  test.each([
    ['temporary', CREDENTIALS],
    ['permanent', { accessKeyId: CREDENTIALS.accessKeyId, secretAccessKey: CREDENTIALS.secretAccessKey }],
  ])('a client gets what is posted with %s credentials, and is cut', async (_, credentials) => {
    const gateway = await TestGateway.start({ credentials: () => credentials });
    ends.push(() => gateway.stop());
    const client = await gateway.open();
    const id = (await gateway.connects.next()).requestContext.connectionId;
    const { wire } = wireTo(`http://127.0.0.1:${gateway.port}/prod`, {
      credentials: async () => credentials,
      clock: { now: Date.now, sleep: async () => {} },
    });
    const frames = ['2', '42["añ€𝄞"]', 'x'.repeat(131_072), ''];
    for (const frame of frames) {
      expect(await wire.post(id, frame)).toBe('ok');
      expect(await client.messages.next()).toBe(frame);
    }
    expect(await wire.post(id, 'x'.repeat(131_073))).toBe('refused');
    expect(await wire.close(id)).toBe(true);
    expect(await client.closed).toMatchObject({ code: 1000 });
    expect(await wire.post(id, '2')).toBe('gone');
    expect(await wire.close(id)).toBe(true);
  });

  test('a post that is signed with another key is refused', async () => {
    const gateway = await TestGateway.start();
    ends.push(() => gateway.stop());
    const { wire, log } = wireTo(`http://127.0.0.1:${gateway.port}/prod`, {
      credentials: async () => ({ ...CREDENTIALS, secretAccessKey: 'another' }),
      clock: { now: Date.now, sleep: async () => {} },
    });
    expect(await wire.post(ID, '2')).toBe('refused');
    expect(log.lines).toMatchObject([{ fields: { type: 'InvalidSignatureException' } }]);
  });
});

describe('a connection', () => {
  let api: ReturnType<typeof mockManagement>;
  const mockManagement = () => mockClient(ApiGatewayManagementApiClient);
  const gone = () => new GoneException({ message: '', $metadata: { httpStatusCode: 410 } });
  beforeEach(() => {
    api = mockManagement();
  });
  afterEach(() => {
    api.restore();
  });

  test('is cut', async () => {
    api.on(DeleteConnectionCommand).resolves({});
    const { wire } = wireTo('https://example.test/prod');
    await expect(wire.close(ID)).resolves.toBe(true);
    expect(api.commandCalls(DeleteConnectionCommand)[0]!.args[0].input).toEqual({ ConnectionId: ID });
  });

  test('that has gone is cut without a word; where it is not certain, that is said', async () => {
    api.on(DeleteConnectionCommand).rejectsOnce(gone()).rejects(new Error('broken'));
    const { wire, log } = wireTo('https://example.test/prod');
    await expect(wire.close(ID)).resolves.toBe(true);
    expect(log.lines).toEqual([]);
    await expect(wire.close(ID)).resolves.toBe(false);
    expect(log.lines).toMatchObject([{ level: 'warn' }]);
  });
});
