import { EventBridgeClient, PutEventsCommand, type PutEventsRequestEntry } from '@aws-sdk/client-eventbridge';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { DroppedEvent } from '../../local/host/invocation.ts';
import type { BusEvent } from '../../local/services/event-bridge.ts';
import { CLOUD_API_KEY, heard, recorded, startTestStack, type TestStack, token } from '../support/stack.ts';

let bus: TestStack;
let client: EventBridgeClient;
/** Every event that a bus accepted, and every one that `publish` gave up. */
const events: BusEvent[] = [];
const dropped: DroppedEvent[] = [];
/** How many more reads of a room's members fail. */
let failures = 0;

beforeAll(async () => {
  bus = await startTestStack({
    // Without it `publish` runs where something is published, and only there.
    prewarm: false,
    onEvent: (event) => events.push(event),
    host: { retryDelaysMs: [1, 1], onDropped: (event) => dropped.push(event) },
    dynamodb: {
      before: async (operation) => {
        if (operation !== 'Query' || failures === 0) return undefined;
        failures -= 1;
        return { status: 400, body: { __type: 'com.amazonaws.dynamodb.v20120810#AccessDeniedException' } };
      },
    },
  });
  client = new EventBridgeClient({
    region: 'us-east-1',
    endpoint: bus.stack.origin,
    credentials: bus.stack.credentials,
  });
});
afterAll(async () => {
  client.destroy();
  await bus.close();
});
beforeEach(() => {
  events.length = 0;
  dropped.length = 0;
});
afterEach(() => expect(failures).toBe(0));

async function put(entry: PutEventsRequestEntry): Promise<string> {
  const EventBusName = bus.stack.deployment.outputs.get('EventBusName');
  const Entries = [{ EventBusName, ...entry }];
  const answer = await client.send(new PutEventsCommand({ Entries }));
  expect(answer.FailedEntryCount).toBe(0);
  return answer.Entries?.[0]?.EventId ?? '';
}

const asked = (detail: unknown): PutEventsRequestEntry => ({
  Source: 'socketbus.publish',
  DetailType: 'Publish Request',
  Detail: JSON.stringify(detail),
});

async function member(sub: string) {
  const socket = bus.client({ auth: { token: await token({ sub, username: 'ana' }) } });
  await heard(socket, 'connected');
  return socket;
}

/** Asserts that nothing more is on its way to a socket: what is asked for now is answered after it. */
const silence = (socket: Awaited<ReturnType<typeof member>>) =>
  socket.emitWithAck('leave-group', { groupId: 'none' });

const notification = (room: string, message: string) => ({
  op: 'emit',
  rooms: [room],
  event: 'notification',
  args: [{ message }],
});

describe('what clients do', () => {
  test('goes out to the event bus where the application says so, and does not come back in', async () => {
    const ana = await member('1');
    await ana.emitWithAck('join-group', { groupId: 5 });
    expect(await ana.emitWithAck('watch-episode', { groupId: 5, seriesId: 9, episodeId: 's1e1' })).toEqual({
      ok: true,
    });
    // The acknowledgement comes after the event bus has it.
    expect(events).toEqual([
      {
        eventBus: bus.stack.deployment.outputs.get('EventBusName'),
        event: expect.objectContaining({
          source: 'socketbus.clients',
          'detail-type': 'Client Event',
          detail: {
            app: 'watch-groups',
            namespace: '/',
            event: 'watch-episode',
            payload: { groupId: 5, seriesId: 9, episodeId: 's1e1' },
            socketId: ana.id,
            identity: expect.objectContaining({ id: 1, username: 'ana' }),
            timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
          },
        }),
      },
    ]);
    await bus.stack.settled();
    expect(bus.stack.functions.instances('publish')).toBe(0);
  });

  test('stays in where the application does not say so', async () => {
    const ana = await member('1');
    await ana.emitWithAck('join-group', { groupId: 6 });
    await ana.emitWithAck('group-activity', { groupId: 6, type: 'x', data: 1 });
    expect(events).toEqual([]);
  });

  test('goes out without what the schema does not know', async () => {
    const ana = await member('1');
    const room = { conversacionId: 'c1', userId: 1 };
    await ana.emitWithAck('chat:join-room', room);
    const message = { ...room, contenido: 'hola', rol: 'paciente', op: 'emit', event: 'notification' };
    expect(await ana.emitWithAck('chat:send-message', message)).toMatchObject({ ok: true });
    const { op: _op, event: _event, ...known } = message;
    expect(events).toMatchObject([{ event: { detail: { event: 'chat:send-message', payload: known } } }]);
    expect(events[0]?.event.detail).not.toHaveProperty('payload.op');
  });
});

describe('an event on the bus', () => {
  test('that asks for a publish is heard by the room, under its own id', async () => {
    const ana = await member('2');
    const note = heard(ana, 'notification');
    await put(asked(notification('member:2', 'hola')));
    expect(await note).toEqual({ message: 'hola' });
    await bus.stack.settled();
    // Only what was put: publishing puts nothing on the bus.
    expect(events).toHaveLength(1);
  });

  test('may call what an application offers its backend', async () => {
    const call = { op: 'app', app: 'order-sync', call: 'recordChange' };
    const change = { type: 'order.created', entityId: 'o-1', data: { total: 5 } };
    await put(asked({ ...call, args: [change] }));
    await bus.stack.settled();
    const pulled = await fetch(`${bus.stack.origin}/sync/pull-changes`, {
      headers: { authorization: `Bearer ${CLOUD_API_KEY}`, 'content-type': 'application/json' },
    });
    expect(await pulled.json()).toMatchObject({ changes: [change], more: false });
  });

  test.each([
    ['another source', { Source: 'socketbus.clients' }],
    ['another detail type', { DetailType: 'Client Event' }],
    ['another bus', { EventBusName: 'default' }],
  ])('of %s publishes nothing, whatever its detail asks for', async (_what, change) => {
    const ana = await member('3');
    const ears = recorded(ana);
    await put({ ...asked(notification('member:3', 'no')), ...change });
    await bus.stack.settled();
    await silence(ana);
    expect(ears).toEqual([]);
  });

  test.each([
    ['a request that is wrong', { op: 'emit', rooms: 'member:3', event: 'x' }, 'rooms'],
    ['no request at all', {}, 'op'],
    ['a call that nobody offers', { op: 'app', app: 'nobody', call: 'x' }, 'app'],
  ])('with %s is logged as an error, dropped and not tried again', async (_what, detail, field) => {
    bus.logs.length = 0;
    const eventId = await put(asked(detail));
    await bus.stack.settled();
    const errors = bus.logs.filter((line) => line.includes(eventId));
    expect(errors).toHaveLength(1);
    expect(JSON.parse((JSON.parse(errors[0]!) as { line: string }).line)).toMatchObject({
      level: 'ERROR',
      eventId,
      field,
    });
    expect(dropped).toEqual([]);
  });

  test('that the bus could not serve is tried again', async () => {
    const ana = await member('4');
    const note = heard(ana, 'notification');
    await silence(ana);
    failures = 1;
    await put(asked(notification('member:4', 'at last')));
    expect(await note).toEqual({ message: 'at last' });
    await bus.stack.settled();
    expect(dropped).toEqual([]);
  });

  test('that the bus can never serve goes to the dead letters after two more tries', async () => {
    failures = 3;
    const eventId = await put(asked(notification('member:4', 'never')));
    await bus.stack.settled();
    expect(dropped).toMatchObject([{ functionName: 'publish', attempts: 3, reason: 'RetriesExhausted' }]);
    expect(JSON.parse(dropped[0]!.payload)).toMatchObject({ id: eventId, source: 'socketbus.publish' });
  });
});
