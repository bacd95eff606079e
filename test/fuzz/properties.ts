/** What must hold for whatever anybody sends; `npm test` tries 1,000 inputs of each, `npm run soak` 10,000. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import * as z from 'zod/mini';
import { defineApp } from '../../lambdas/apps/define-app.ts';
import { decodeEnginePacket } from '../../lambdas/protocol/engine-packet.ts';
import { decodePayload } from '../../lambdas/protocol/payload.ts';
import { ProtocolError } from '../../lambdas/protocol/protocol-error.ts';
import { decodeSocketPacket, PacketAssembler } from '../../lambdas/protocol/socket-packet.ts';
import { hostileName } from '../support/hostile.ts';
import { connected, type World, world } from '../support/world.ts';
import { keepsNothing, quick, unpolluted } from './limits.ts';
import { anyFrame, anyPayload, anyText } from './texts.ts';

export const PROPERTIES: Readonly<Record<string, (runs: number) => void | Promise<void>>> = {
  'a frame is a packet or a ProtocolError, at once, and nothing of it stays': (numRuns) =>
    keepsNothing(() =>
      fc.assert(
        fc.property(anyText, (text) => quick(() => typed(() => decodeFrame(text)))),
        { numRuns },
      ),
    ),

  'a body of long polling is packets or a ProtocolError, at once, and nothing of it stays': (numRuns) =>
    keepsNothing(() =>
      fc.assert(
        fc.property(fc.oneof(anyPayload, anyText), (body) => quick(() => typed(() => decodeBody(body)))),
        { numRuns },
      ),
    ),

  'a frame is handled without an error, and lets nobody into a room': async (numRuns) => {
    const at = await world({ applications: [application] });
    let n = 0;
    let connection = '';
    await fc.assert(
      fc.asyncProperty(anyFrame, async (frame) => {
        if ((await at.store.connection(connection))?.open !== true) {
          n += 1;
          connection = await connected(at, n);
          await at.messages.handle(connection, '40');
        }
        await at.messages.handle(connection, frame);
        noFailure(at);
      }),
      { numRuns },
    );
    const answer = await at.publisher.handle({ op: 'emit', rooms: ['shut:1', 'other:1'], event: 'any' });
    assert.equal((answer as { audience?: number }).audience, 0);
  },

  'a request of long polling is answered without an error, whatever its method, query and body': async (
    numRuns,
  ) => {
    const at = await world({ applications: [application] });
    await fc.assert(
      fc.asyncProperty(request, async (one) => {
        const { statusCode } = await at.polling.handle({ ...one, at: at.clock.now() });
        assert.ok([200, 204, 400, 403, 413].includes(statusCode), String(statusCode));
        noFailure(at);
      }),
      { numRuns },
    );
  },

  'an HTTP request of an application is answered, and never with 500': async (numRuns) => {
    const at = await world({ applications: [application] });
    const path = fc.oneof(fc.constantFrom('/echo', '/', '/__proto__', '/rooms/a/history'), hostileName);
    await fc.assert(
      fc.asyncProperty(request, path, fc.oneof(anyText, fc.json()), async (one, where, body) => {
        const { statusCode } = await at.router.handle({ ...one, path: where, body });
        assert.ok([200, 204, 400, 401, 403, 404, 413].includes(statusCode), String(statusCode));
        noFailure(at);
      }),
      { numRuns },
    );
  },

  'a publish of anything is answered, and what is no request reaches nobody': async (numRuns) => {
    const at = await world({ applications: [application] });
    const member = fc.constantFrom(
      'op',
      'rooms',
      'event',
      'args',
      'namespace',
      'except',
      'flags',
      'id',
      '__proto__',
    );
    const wrong = fc.oneof(fc.jsonValue(), fc.dictionary(member, fc.oneof(fc.jsonValue(), hostileName)));
    await fc.assert(
      fc.asyncProperty(wrong, async (asked) => {
        const answer = await at.publisher.handle(asked);
        assert.ok(!answer.ok && answer.error.code === 'invalid_payload', JSON.stringify(answer));
        noFailure(at);
      }),
      { numRuns },
    );
  },
};

const application = defineApp({
  name: 'target',
  rooms: { 'open:': { canJoin: () => true }, 'shut:': {} },
  serverEvents: { said: z.json() },
  clientEvents: {
    join: { payload: z.object({ room: z.string() }), handle: (socket, { room }) => socket.join(room) },
    say: {
      payload: z.json(),
      handle: async (socket, payload) => {
        await socket.emit('said', payload);
        return { ok: true, payload };
      },
    },
  },
  http: [
    { method: 'POST', path: '/echo', handle: async ({ body }) => ({ status: 200, body: body ?? null }) },
  ],
});

const value = fc.oneof(
  fc.constantFrom('4', '3', 'polling', 'websocket', 'polling,polling', '__proto__', 'constructor', ''),
  hostileName,
);
const request = fc.record(
  {
    method: fc.oneof(fc.constantFrom('GET', 'POST', 'OPTIONS', 'PUT'), fc.string()),
    query: fc.oneof(
      fc.constant({ EIO: '4', transport: 'polling' }),
      fc.record({ EIO: fc.constant('4'), transport: fc.constant('polling'), sid: value }),
      fc.dictionary(
        fc.oneof(fc.constantFrom('EIO', 'transport', 'sid', 't', 'b64', 'j'), fc.string()),
        value,
      ),
    ),
    headers: fc.dictionary(
      fc.oneof(
        fc.constantFrom('origin', 'content-type', 'authorization', 'access-control-request-headers'),
        fc.string(),
      ),
      fc.oneof(fc.constantFrom('null', 'application/octet-stream', 'Bearer x'), fc.string()),
    ),
    body: fc.oneof(anyPayload, fc.constant(undefined)),
    address: fc.string(),
    path: fc.constant('/socket.io/'),
  },
  { noNullPrototype: true },
);

function decodeFrame(text: string): void {
  const frame = decodeEnginePacket(text);
  if (frame.type === 'message') decodeSocketPacket(frame.data);
}

function decodeBody(body: string): void {
  const assembler = new PacketAssembler();
  for (const frame of decodePayload(body)) {
    const packet = decodeEnginePacket(frame);
    if (packet.type === 'message' || packet.type === 'binary') assembler.add(packet.data);
  }
}

function typed(act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
  }
  unpolluted();
}

/** What somebody sends is no fault of ours: nobody is called at night for it. */
function noFailure({ log }: World): void {
  unpolluted();
  assert.deepEqual(
    log.lines.filter(({ level }) => level === 'error'),
    [],
  );
  log.lines.length = 0;
}
