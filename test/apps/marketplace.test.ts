import { describe, expect, test } from 'vitest';
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
  PayloadError,
} from '../../emitter/index.ts';
import { marketplace } from '../../lambdas/apps/marketplace.ts';
import { storefrontChat } from '../../lambdas/apps/storefront-chat.ts';
import { watchGroups } from '../../lambdas/apps/watch-groups.ts';
import { originAllowed } from '../../lambdas/bus/handshake.ts';
import { RecordingTransport } from '../emitter/recording.ts';
import { START, type World, world } from '../support/world.ts';
import { Client, type ClientOptions } from './client.ts';
import { JWT_SECRET, token } from './tokens.ts';

const NOW = new Date(START).toISOString();
const ISO = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;

async function bus(identityMode: 'trusted' | 'token'): Promise<World> {
  const at = await world({
    applications: [marketplace, storefrontChat, watchGroups],
    secrets: { JWT_SECRET },
  });
  Object.assign(at.bus.config, { identityMode });
  return at;
}

let connections = 0;

async function client(at: World, claims?: Record<string, unknown>): Promise<Client> {
  connections += 1;
  const options: ClientOptions = claims === undefined ? {} : { auth: { token: await token(claims) } };
  return Client.connect(at, connections, options);
}

/** An emitter whose publishes are the world's. */
function emitterOf(at: World): Emitter {
  return new Emitter({ transport: { send: (request) => at.publisher.handle(request) } });
}

describe('join', () => {
  test.each([
    ['user', 7, 'user:7'],
    ['user', '7', 'user:7'],
    ['vendor', 'v 1', 'vendor:v 1'],
  ])('as %s %o joins %s', async (type, id, room) => {
    const at = await bus('trusted');
    const ana = await client(at);
    expect(await ana.ask('join', { type, id })).toEqual({ ok: true, type, id });
    const answer = await at.publisher.handle({ op: 'emit', rooms: [room], event: 'x' });
    expect(answer).toMatchObject({ audience: 1 });
  });

  test.each([
    [undefined, undefined],
    [{ type: 'admin', id: 1 }, 'type'],
    [{ id: 1 }, 'type'],
    [{ type: 'user' }, 'id'],
    [{ type: 'vendor', id: { $ne: 1 } }, 'id'],
  ])('refuses %o, in the acknowledgement and as the event error', async (payload, field) => {
    const at = await bus('trusted');
    const ana = await client(at);
    const error = { code: 'invalid_payload', message: expect.any(String), ...(field ? { field } : {}) };
    expect(await ana.ask('join', payload)).toEqual({ ok: false, error });
    expect(ana.heard('error')).toEqual([
      { message: expect.any(String), code: 'invalid_payload', event: 'join', timestamp: NOW },
    ]);
  });

  test.each([
    [
      undefined,
      'user',
      1,
      'unauthenticated',
      'a verified token is missing: auth.token or an Authorization header',
    ],
    [
      undefined,
      'vendor',
      1,
      'unauthenticated',
      'a verified token is missing: auth.token or an Authorization header',
    ],
    [{ sub: '2', vendors: [1] }, 'user', 1, 'forbidden', 'the token proves another id than the id 1'],
    [{ sub: '1' }, 'vendor', 1, 'forbidden', "the token's vendors claim does not list the vendor 1"],
    [{ sub: '1', vendors: ['11', 2] }, 'vendor', 1, 'forbidden', expect.any(String)],
    [{ sub: '1', vendors: '1' }, 'vendor', 1, 'forbidden', expect.any(String)],
    [{ sub: '1', vendors: [['1']] }, 'vendor', 1, 'forbidden', expect.any(String)],
  ])(
    'with the claims %o as %s %o is refused where identities are proven',
    async (claims, type, id, code, message) => {
      const at = await bus('token');
      const eve = await client(at, claims);
      expect(await eve.ask('join', { type, id })).toMatchObject({ ok: false, error: { code, message } });
      const heard = await at.publisher.handle({ op: 'emit', rooms: [`${type}:${id}`], event: 'x' });
      expect(heard).toMatchObject({ audience: 0 });
    },
  );

  test('joins what the token proves', async () => {
    const at = await bus('token');
    const ana = await client(at, { sub: '1', vendors: ['5', 6] });
    for (const [type, id] of [['user', '1'] as const, ['vendor', 5] as const, ['vendor', '6'] as const]) {
      expect(await ana.ask('join', { type, id })).toEqual({ ok: true, type, id });
    }
  });
});

describe('ping', () => {
  test.each([
    ['nothing', []],
    ['anything', [{ x: 1 }]],
  ])('with %s is answered with the time', async (_what, args) => {
    const at = await bus('token');
    const ana = await client(at);
    expect(await ana.ask('ping', ...args)).toEqual({ ok: true, timestamp: NOW });
    expect(ana.events()).toEqual([]);
  });
});

const actor = { id: 9, role: 'vendor' };
const service = { id: 1, vendorId: 5, title: 'a haircut', price: { amount: 20 } };
const booking = { id: 2, vendorId: 5, userId: 'u', when: '2026-01-02' };
const payment = { id: 3, vendorId: 5, userId: 'u', currency: 'EUR' };

const FUNCTIONS = [
  ['service:created', (io: Emitter) => emitServiceCreated(io, { service, actor }), { service }, ['vendor:5']],
  ['service:updated', (io: Emitter) => emitServiceUpdated(io, { service, actor }), { service }, ['vendor:5']],
  [
    'service:status_changed',
    (io: Emitter) => emitServiceStatusChanged(io, { service: { ...service, userId: 7 }, actor }),
    { service: { ...service, userId: 7 } },
    ['user:7', 'vendor:5'],
  ],
  [
    'booking:created',
    (io: Emitter) => emitBookingCreated(io, { booking, actor }),
    { booking },
    ['user:u', 'vendor:5'],
  ],
  [
    'booking:status_changed',
    (io: Emitter) => emitBookingStatusChanged(io, { booking, actor }),
    { booking },
    ['user:u', 'vendor:5'],
  ],
  [
    'booking:cancelled',
    (io: Emitter) => emitBookingCancelled(io, { booking, actor }),
    { booking },
    ['user:u', 'vendor:5'],
  ],
  [
    'payment:completed',
    (io: Emitter) => emitPaymentCompleted(io, { payment, actor }),
    { payment },
    ['user:u', 'vendor:5'],
  ],
  [
    'payment:failed',
    (io: Emitter) => emitPaymentFailed(io, { payment, actor }),
    { payment },
    ['user:u', 'vendor:5'],
  ],
] as const;

describe.each(FUNCTIONS)('%s', (event, emit, entity, rooms) => {
  test('is one publish to all its rooms, whole', async () => {
    const transport = new RecordingTransport();
    await emit(new Emitter({ transport }));
    expect(transport.sent).toMatchObject([
      {
        op: 'emit',
        namespace: '/',
        rooms,
        event,
        args: [{ ...entity, actor, timestamp: expect.stringMatching(ISO) }],
      },
    ]);
  });

  test('is heard once by each socket of its rooms, and by nobody else', async () => {
    const at = await bus('trusted');
    const [user, vendor, both, other] = [
      await client(at),
      await client(at),
      await client(at),
      await client(at),
    ];
    const userId = rooms.find((room) => room.startsWith('user:'))?.slice(5) ?? 'nobody';
    for (const each of [user, both]) await each.ask('join', { type: 'user', id: userId });
    for (const each of [vendor, both]) await each.ask('join', { type: 'vendor', id: '5' });
    await other.ask('join', { type: 'user', id: '5' });
    await emit(emitterOf(at));
    const counts = [user, vendor, both, other].map((each) => each.heard(event).length);
    expect(counts).toEqual([userId === 'nobody' ? 0 : 1, 1, 1, 0]);
    expect(both.heard(event)).toEqual([{ ...entity, actor, timestamp: expect.stringMatching(ISO) }]);
  });

  test('is declared by the application with this payload', async () => {
    const transport = new RecordingTransport();
    await emit(new Emitter({ transport }));
    const [request] = transport.sent as unknown as [{ readonly args: readonly unknown[] }];
    expect(marketplace.events.server[event].safeParse(request.args[0]).success).toBe(true);
  });
});

describe('a payload that is wrong', () => {
  // As JavaScript calls it: the compiler would refuse these.
  type Loose = (io: Emitter, about: unknown) => Promise<unknown>;
  const [onService, onBooking, onPayment] = [
    emitServiceCreated,
    emitBookingCreated,
    emitPaymentFailed,
  ] as Loose[];

  test.each([
    [onService, undefined, 'service'],
    [onService, null, 'service'],
    [onService, {}, 'service'],
    [onService, { service: 'x', actor }, 'service'],
    [onService, { service: [service], actor }, 'service'],
    [onService, { booking, actor }, 'service'],
    [onService, { service: { ...service, id: undefined }, actor }, 'service.id'],
    [onService, { service: { id: 1 }, actor }, 'service.vendorId'],
    [onService, { service: { ...service, vendorId: '' }, actor }, 'service.vendorId'],
    [onService, { service: { ...service, userId: {} }, actor }, 'service.userId'],
    [onService, { service }, 'actor'],
    [onService, { service, actor: { role: 'vendor' } }, 'actor.id'],
    [onService, { service, actor: { id: 1 } }, 'actor.role'],
    [onService, { service, actor: { id: 1, role: '' } }, 'actor.role'],
    [onBooking, { booking: { ...booking, userId: undefined }, actor }, 'booking.userId'],
    [onBooking, { booking: { ...booking, userId: null }, actor }, 'booking.userId'],
    [onBooking, { booking: { ...booking, vendorId: 1.5 }, actor }, 'booking.vendorId'],
    [onPayment, { payment: { ...payment, userId: undefined }, actor }, 'payment.userId'],
    [onPayment, { payment: { ...payment, id: 2 ** 53 }, actor }, 'payment.id'],
  ])('throws at once and sends nothing (%#)', (emit, about, field) => {
    const transport = new RecordingTransport();
    const io = new Emitter({ transport });
    const call = () => void emit!(io, about);
    expect(call).toThrow(PayloadError);
    expect(call).toThrow(expect.objectContaining({ code: 'invalid_payload', field }));
    expect(call).toThrow(new RegExp(`^${field.replace('.', '\\.')}: `));
    expect(transport.sent).toEqual([]);
  });

  test('is a service whose user is none, but not one without a user', async () => {
    const transport = new RecordingTransport();
    const io = new Emitter({ transport });
    await emitServiceUpdated(io, { service: { ...service, userId: null }, actor });
    expect(transport.sent).toMatchObject([{ rooms: ['vendor:5'] }]);
  });

  test('does not compile', () => {
    const never = (io: Emitter) => {
      // @ts-expect-error: a booking is no service
      void emitServiceCreated(io, { booking, actor });
      // @ts-expect-error: a booking has a user
      void emitBookingCreated(io, { booking: { id: 1, vendorId: 2 }, actor });
      // @ts-expect-error: an actor has a role
      void emitPaymentFailed(io, { payment, actor: { id: 1 } });
      // @ts-expect-error: an id is no object
      void emitServiceUpdated(io, { service: { id: {}, vendorId: 2 }, actor });
    };
    expect(never).toBeTypeOf('function');
  });
});

describe('origins', () => {
  test('are those of CLIENT_ORIGIN, exactly', async () => {
    const settings = { CLIENT_ORIGIN: 'https://shop.example, https://admin.shop.example' };
    const at = await world({ applications: [marketplace], settings });
    const origins = ['https://shop.example', 'https://admin.shop.example', 'https://x.shop.example', 'null'];
    expect(origins.map((origin) => originAllowed(at.bus, origin))).toEqual([true, true, false, false]);
  });

  test('are none without it', async () => {
    const at = await world({ applications: [marketplace] });
    expect(originAllowed(at.bus, 'https://shop.example')).toBe(false);
  });
});
