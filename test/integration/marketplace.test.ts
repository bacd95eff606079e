/** The marketplace's documented client and backend against the running template. */
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  Emitter,
  emitBookingCancelled,
  emitBookingCreated,
  emitBookingStatusChanged,
  emitPaymentCompleted,
  emitPaymentFailed,
  emitServiceCreated,
  emitServiceStatusChanged,
  emitServiceUpdated,
  lambdaTransport,
  PayloadError,
} from '../../emitter/index.ts';
import { synthesise } from '../support/assembly.ts';
import { heard, recorded, startTestStack, type TestStack, token } from '../support/stack.ts';

const CLIENT_ORIGIN = 'http://localhost:5173';
const SETTINGS = { APPS: 'watch-groups,marketplace', CLIENT_ORIGIN };
const ISO = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;

const actor = { id: 9, role: 'admin' };
const service = { id: 's1', vendorId: 5, title: 'a haircut', createdAt: new Date(0) };
const booking = { id: 'b1', vendorId: '5', userId: 7, slots: [1, 2] };
const payment = { id: 'p1', vendorId: 5, userId: '7', cents: 2_000 };

function backend({ stack }: TestStack) {
  const { credentials, origin: endpoint } = stack;
  return new Emitter({
    transport: lambdaTransport({ functionName: 'publish', region: 'us-east-1', credentials, endpoint }),
  });
}

describe('where claims are trusted', () => {
  let bus: TestStack;
  beforeAll(async () => {
    bus = await startTestStack({ assembly: await synthesise({ ...SETTINGS, IDENTITY: 'trusted' }) });
  });
  afterAll(() => bus.close());

  test('users and vendors hear what is theirs, once, and nobody else hears anything', async () => {
    const clients = Array.from({ length: 4 }, () =>
      bus.client({ withCredentials: true, extraHeaders: { origin: CLIENT_ORIGIN } }),
    );
    const [user, vendor, both, other] = clients as [Socket, Socket, Socket, Socket];
    const answer = { ok: true, type: 'user', id: 7 };
    expect(await user.emitWithAck('join', { type: 'user', id: 7 })).toEqual(answer);
    await Promise.all([
      both.emitWithAck('join', { type: 'user', id: '7' }),
      both.emitWithAck('join', { type: 'vendor', id: 5 }),
      vendor.emitWithAck('join', { type: 'vendor', id: '5' }),
      other.emitWithAck('join', { type: 'user', id: 5 }),
      other.emitWithAck('join', { type: 'vendor', id: 7 }),
    ]);
    const ears = clients.map(recorded);

    const io = backend(bus);
    const sent = [
      await emitServiceCreated(io, { service, actor }),
      await emitServiceUpdated(io, { service, actor }),
      await emitServiceStatusChanged(io, { service: { ...service, userId: 7 }, actor }),
      await emitBookingCreated(io, { booking, actor }),
      await emitBookingStatusChanged(io, { booking, actor }),
      await emitBookingCancelled(io, { booking, actor }),
      await emitPaymentCompleted(io, { payment, actor }),
      await emitPaymentFailed(io, { payment, actor }),
    ];
    expect(sent.map(({ audience }) => audience)).toEqual([2, 2, 3, 3, 3, 3, 3, 3]);

    const timestamp = expect.stringMatching(ISO);
    const stored = { ...service, createdAt: '1970-01-01T00:00:00.000Z' };
    const shared = [
      { event: 'service:status_changed', args: [{ service: { ...stored, userId: 7 }, actor, timestamp }] },
      { event: 'booking:created', args: [{ booking, actor, timestamp }] },
      { event: 'booking:status_changed', args: [{ booking, actor, timestamp }] },
      { event: 'booking:cancelled', args: [{ booking, actor, timestamp }] },
      { event: 'payment:completed', args: [{ payment, actor, timestamp }] },
      { event: 'payment:failed', args: [{ payment, actor, timestamp }] },
    ];
    const ofVendor = [
      { event: 'service:created', args: [{ service: stored, actor, timestamp }] },
      { event: 'service:updated', args: [{ service: stored, actor, timestamp }] },
      ...shared,
    ];
    // An answer after the publishes proves that nothing else is on its way.
    const pings = await Promise.all(clients.map((each) => each.emitWithAck('ping')));
    expect(pings).toEqual(clients.map(() => ({ ok: true, timestamp })));
    expect(ears).toEqual([shared, ofVendor, ofVendor, []]);
  });

  test('a payload that is wrong is refused before anything is sent', () => {
    const wrong = { vendorId: 5 } as unknown as typeof service;
    expect(() => void emitServiceCreated(backend(bus), { service: wrong, actor })).toThrow(
      expect.objectContaining({ name: PayloadError.name, field: 'service.id' }),
    );
  });

  test('a browser of another origin is refused', async () => {
    const evil = bus.client({ extraHeaders: { origin: 'https://evil.example' } });
    expect(await heard(evil, 'connect_error')).toBeInstanceOf(Error);
  });
});

describe('where identities are to be proven', () => {
  let bus: TestStack;
  beforeAll(async () => {
    bus = await startTestStack({ assembly: await synthesise({ ...SETTINGS, IDENTITY: 'token' }) });
  });
  afterAll(() => bus.close());

  test('a token joins its user and its vendors, from the handshake or the header, and nothing else', async () => {
    const proof = await token({ sub: '7', vendors: [5] });
    for (const options of [
      { auth: { token: proof } },
      { extraHeaders: { authorization: `Bearer ${proof}` } },
    ]) {
      const socket = bus.client(options);
      await heard(socket, 'connected');
      const join = (type: string, id: unknown) => socket.emitWithAck('join', { type, id });
      expect(await join('user', 7)).toEqual({ ok: true, type: 'user', id: 7 });
      expect(await join('vendor', '5')).toEqual({ ok: true, type: 'vendor', id: '5' });
      const ears = recorded(socket);
      expect(await join('user', 8)).toMatchObject({ ok: false, error: { code: 'forbidden' } });
      expect(await join('vendor', 7)).toMatchObject({
        ok: false,
        error: { code: 'forbidden', message: expect.stringContaining('vendors') },
      });
      await emitBookingCreated(backend(bus), { booking: { id: 1, vendorId: 7, userId: 8 }, actor });
      await socket.emitWithAck('ping');
      expect(ears.map(({ event }) => event)).toEqual(['error', 'error']);
      socket.disconnect();
    }
  });

  test('a client without a token may ask for the time, and join nothing', async () => {
    const socket = bus.client();
    expect(await socket.emitWithAck('ping')).toMatchObject({ ok: true });
    expect(await socket.emitWithAck('join', { type: 'user', id: 7 })).toMatchObject({
      ok: false,
      error: { code: 'unauthenticated' },
    });
    expect(socket.connected).toBe(true);
  });
});
