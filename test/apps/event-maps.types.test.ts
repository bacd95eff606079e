/**
 * What the compiler promises to frontends and backends. The proofs are the `@ts-expect-error` lines, which `tsc`
 * refuses where there is no error; nothing here is run but the definitions.
 */
import type { Socket } from 'socket.io-client';
import { describe, expectTypeOf, test } from 'vitest';
import * as z from 'zod/mini';
import type { Emitter } from '../../emitter/index.ts';
import { defineApp, id } from '../../lambdas/apps/define-app.ts';
import type {
  Ack,
  ApplicationType,
  BuiltIns,
  ClientToServerEvents,
  ErrorEvent,
  ServerToClientEvents,
} from '../../lambdas/apps/events.ts';
import type { BuiltInApplication } from '../../lambdas/contract/applications.ts';

type Client<A extends ApplicationType> = Socket<ServerToClientEvents<A>, ClientToServerEvents<A>>;

const own = defineApp({
  name: 'own',
  clientEvents: {
    ring: { payload: z.undefined(), handle: () => undefined },
    say: { payload: z.object({ to: id(), text: z.string() }), handle: () => undefined },
    maybe: { payload: z.optional(z.string()), handle: () => undefined },
  },
  serverEvents: { rang: z.undefined(), said: z.object({ text: z.string() }) },
});
type Own = typeof own;

test('every built-in application has its event maps', () => {
  expectTypeOf<keyof BuiltIns>().toEqualTypeOf<BuiltInApplication>();
});

describe('a client of an application of its own', () => {
  test('emits what is declared, with an acknowledgement or without', () => {
    const use = (socket: Client<Own>) => {
      socket.emit('say', { to: 7, text: 'x' });
      socket.emit('say', { to: '7', text: 'x' }, (answer) => {
        expectTypeOf(answer).toEqualTypeOf<Ack>();
        if (!answer.ok) expectTypeOf(answer.error.code).toExtend<string>();
      });
      socket.emit('ring');
      socket.emit('ring', (answer) => expectTypeOf(answer).toEqualTypeOf<Ack>());
      socket.emit('maybe');
      socket.emit('maybe', 'x');
      socket.emit('maybe', 'x', (answer) => answer.ok);
      socket.emit('maybe', (answer) => answer.ok);
      socket.timeout(100).emit('say', { to: 7, text: 'x' }, (failed, answer) => {
        expectTypeOf(failed).toEqualTypeOf<Error>();
        expectTypeOf(answer).toEqualTypeOf<Ack>();
      });
      // @ts-expect-error: a misspelled event
      socket.emit('sya', { to: 7, text: 'x' });
      // @ts-expect-error: an event of the other direction
      socket.emit('said', { text: 'x' });
      // @ts-expect-error: a payload of another type
      socket.emit('say', { to: 7, text: 7 });
      // @ts-expect-error: a payload that lacks a key
      socket.emit('say', { to: 7 });
      // @ts-expect-error: no payload where there must be one
      socket.emit('say');
      // @ts-expect-error: an acknowledgement where the payload must be
      socket.emit('say', (_answer: Ack) => undefined);
      // @ts-expect-error: a payload where there is none
      socket.emit('ring', { to: 7 });
      // @ts-expect-error: an acknowledgement that wants something else
      socket.emit('say', { to: 7, text: 'x' }, (_answer: { readonly ok: string }) => undefined);
    };
    expectTypeOf(use).returns.toBeVoid();
  });

  test('awaits acknowledgements of what is declared only', () => {
    const use = async (socket: Client<Own>): Promise<Ack> => {
      // @ts-expect-error: a misspelled event
      await socket.emitWithAck('sya', { to: 7, text: 'x' });
      // @ts-expect-error: a payload of another type
      await socket.emitWithAck('say', { to: 7, text: 7 });
      await socket.emitWithAck('ring');
      return socket.emitWithAck('say', { to: 7, text: 'x' });
    };
    expectTypeOf(use).returns.resolves.toEqualTypeOf<Ack>();
  });

  test('listens to what is declared, with the payloads that arrive', () => {
    const use = (socket: Client<Own>) => {
      socket.on('said', ({ text }) => expectTypeOf(text).toEqualTypeOf<string>());
      socket.on('rang', () => undefined);
      socket.on('error', (failure) => expectTypeOf(failure).toEqualTypeOf<ErrorEvent>());
      socket.on('connect_error', (error) => expectTypeOf(error).toExtend<Error>());
      // @ts-expect-error: a misspelled event
      socket.on('siad', () => undefined);
      // @ts-expect-error: an event of the other direction
      socket.on('say', () => undefined);
      // @ts-expect-error: a payload key nobody declared
      socket.on('said', ({ txet }) => txet);
      // @ts-expect-error: a payload where there is none
      socket.on('rang', (payload: string) => payload);
    };
    expectTypeOf(use).returns.toBeVoid();
  });
});

describe('several applications on one namespace', () => {
  test('are one map of all their events', () => {
    const use = (socket: Client<Own | 'watch-groups'>) => {
      socket.emit('say', { to: 7, text: 'x' });
      socket.emit('join-group', { groupId: 7 });
      socket.on('said', () => undefined);
      socket.on('series-added', () => undefined);
      // @ts-expect-error: an event of neither
      socket.emit('sya', {});
    };
    expectTypeOf(use).returns.toBeVoid();
  });
});

describe('watch-groups', () => {
  test('refuses misspelled events and wrong payloads of clients', () => {
    const use = (socket: Client<'watch-groups'>) => {
      socket.emit('join-group', { groupId: 123 }, (answer) => answer.ok);
      socket.emit('group-activity', { groupId: '1', type: 'vote', data: { episode: 2 } });
      socket.on('user-joined-group', ({ userId, username, groupId, timestamp }) => {
        expectTypeOf(userId).toEqualTypeOf<string | number>();
        expectTypeOf(username).toEqualTypeOf<string | undefined>();
        expectTypeOf(groupId).toEqualTypeOf<string | number>();
        expectTypeOf(timestamp).toEqualTypeOf<string>();
      });
      socket.on('error', ({ message }) => message);
      // @ts-expect-error: a misspelled event
      socket.emit('join-gruop', { groupId: 123 });
      // @ts-expect-error: a misspelled key
      socket.emit('join-group', { groupID: 123 });
      // @ts-expect-error: an id is text or a number
      socket.emit('watch-episode', { groupId: true, seriesId: 1, episodeId: 1 });
      // @ts-expect-error: a misspelled event
      socket.on('episode-wached', () => undefined);
      // @ts-expect-error: a key nobody declared
      socket.on('error', ({ code }) => code);
    };
    expectTypeOf(use).returns.toBeVoid();
  });

  test('refuses misspelled events and wrong payloads of backends', () => {
    const use = async (emitter: Emitter<ServerToClientEvents<'watch-groups'>>) => {
      await emitter.to('group:1').emit('series-added', { seriesName: 'Dark', addedBy: 'ana' });
      await emitter.to('member:1').emit('notification', { message: 'hola' });
      // @ts-expect-error: a misspelled event
      await emitter.to('group:1').emit('serie-added', { seriesName: 'Dark', addedBy: 'ana' });
      // @ts-expect-error: a payload that lacks a key
      await emitter.to('group:1').emit('series-added', { seriesName: 'Dark' });
      // @ts-expect-error: a payload of another type
      await emitter.to('member:1').emit('notification', 'hola');
      // @ts-expect-error: what clients emit is not for backends
      await emitter.to('group:1').emit('join-group', { groupId: 1 });
    };
    expectTypeOf(use).returns.resolves.toBeVoid();
  });
});

describe('storefront-chat', () => {
  test('refuses misspelled events and wrong payloads of clients', () => {
    const use = (socket: Client<'storefront-chat'>) => {
      socket.emit('authenticate', { customerId: '123' });
      socket.emit('join-conversation', { conversationId: 789 });
      socket.emit('join-conversation', '789', (answer) => answer.ok);
      socket.on('new-message', ({ messageId, content, senderId, timestamp }) => {
        expectTypeOf(messageId).toEqualTypeOf<string | number>();
        expectTypeOf(senderId).toEqualTypeOf<string | number>();
        expectTypeOf(content).toEqualTypeOf<string>();
        expectTypeOf(timestamp).toEqualTypeOf<string>();
      });
      // @ts-expect-error: a misspelled event
      socket.emit('join-conversacion', { conversationId: 789 });
      // @ts-expect-error: a misspelled key
      socket.emit('authenticate', { customerID: '123' });
      // @ts-expect-error: an event that only the server emits
      socket.emit('new-message', { messageId: 1, content: 'x', senderId: 1, timestamp: '' });
      // @ts-expect-error: a misspelled event
      socket.on('new-mesage', () => undefined);
      // @ts-expect-error: a key nobody declared
      socket.on('typing-start', ({ userId }) => userId);
    };
    expectTypeOf(use).returns.toBeVoid();
  });

  test('refuses misspelled events and wrong payloads of backends', () => {
    const use = async (emitter: Emitter<ServerToClientEvents<'storefront-chat'>>) => {
      const message = { messageId: 1, content: 'x', senderId: 1, timestamp: '2024-01-15T10:30:00.000Z' };
      await emitter.to('conversation_1').emit('new-message', message);
      // @ts-expect-error: a misspelled event
      await emitter.to('conversation_1').emit('new-mesage', message);
      // @ts-expect-error: a payload that lacks keys
      await emitter.to('conversation_1').emit('new-message', { messageId: 1 });
    };
    expectTypeOf(use).returns.resolves.toBeVoid();
  });
});

describe('clinic-chat', () => {
  test('refuses misspelled events and wrong payloads of clients', () => {
    const use = (socket: Client<'clinic-chat'>) => {
      socket.emit('chat:send-message', { conversacionId: 7, contenido: 'Hola', userId: 1, rol: 'paciente' });
      socket.on('chat:message-read', ({ mensajeId }) => mensajeId);
      socket.on('chat:error', ({ code }) => expectTypeOf(code).toEqualTypeOf<string>());
      // @ts-expect-error: a misspelled event
      socket.emit('chat:send-mesage', { conversacionId: 7, contenido: 'Hola', userId: 1, rol: 'paciente' });
      // @ts-expect-error: a payload that lacks a key
      socket.emit('chat:send-message', { conversacionId: 7, contenido: 'Hola', userId: 1 });
      // @ts-expect-error: a payload of another type
      socket.emit('chat:typing', { conversacionId: 7, userId: null });
      // @ts-expect-error: a misspelled event
      socket.on('chat:mesage-received', () => undefined);
      // @ts-expect-error: its failures come as chat:error
      socket.on('error', () => undefined);
    };
    expectTypeOf(use).returns.toBeVoid();
  });

  test('refuses misspelled events and wrong payloads of backends', () => {
    const use = async (emitter: Emitter<ServerToClientEvents<'clinic-chat'>>) => {
      await emitter.to('chat:7').emit('chat:user-typing', { conversacionId: 7, userId: 1 });
      // @ts-expect-error: a misspelled event
      await emitter.to('chat:7').emit('chat:user-tipyng', { conversacionId: 7, userId: 1 });
      // @ts-expect-error: a misspelled key
      await emitter.to('chat:7').emit('chat:user-typing', { conversationId: 7, userId: 1 });
    };
    expectTypeOf(use).returns.resolves.toBeVoid();
  });
});

describe('order-sync', () => {
  test('refuses misspelled events and wrong payloads of clients', () => {
    const use = (socket: Client<'order-sync'>) => {
      socket.emit('sync:orders');
      socket.emit('sync:confirm', { ids: ['a', 1] }, (answer) => answer.ok);
      socket.on('changes:pending', () => undefined);
      socket.on('orders:pending', (orders) => {
        for (const { type, entityId } of orders) {
          expectTypeOf(type).toEqualTypeOf<string>();
          expectTypeOf(entityId).toEqualTypeOf<string | number>();
        }
      });
      // @ts-expect-error: a misspelled event
      socket.emit('sync:order');
      // @ts-expect-error: ids are a list
      socket.emit('sync:confirm', { ids: 'a' });
      // @ts-expect-error: there is no argument at all
      socket.on('changes:pending', (changes: unknown[]) => changes);
      // @ts-expect-error: a misspelled event
      socket.on('change:pending', () => undefined);
    };
    expectTypeOf(use).returns.toBeVoid();
  });

  test('refuses misspelled events and wrong payloads of backends', () => {
    const use = async (emitter: Emitter<ServerToClientEvents<'order-sync'>>) => {
      await emitter.of('/sync').emit('changes:pending');
      // @ts-expect-error: a misspelled event
      await emitter.of('/sync').emit('change:pending');
      // @ts-expect-error: there is no argument at all
      await emitter.of('/sync').emit('changes:pending', 7);
      // @ts-expect-error: a list, not one
      await emitter.of('/sync').emit('orders:pending', { id: 'a' });
    };
    expectTypeOf(use).returns.resolves.toBeVoid();
  });
});

describe('marketplace', () => {
  test('refuses misspelled events and wrong payloads of clients', () => {
    const use = (socket: Client<'marketplace'>) => {
      socket.emit('join', { type: 'vendor', id: 5 });
      socket.emit('ping', (answer: Ack) => answer.ok);
      socket.on('booking:created', ({ booking, actor, timestamp }) => {
        expectTypeOf(booking.vendorId).toEqualTypeOf<string | number>();
        expectTypeOf(actor.role).toEqualTypeOf<string>();
        expectTypeOf(timestamp).toEqualTypeOf<string>();
      });
      // @ts-expect-error: a misspelled event
      socket.emit('joins', { type: 'vendor', id: 5 });
      // @ts-expect-error: a kind of room that there is not
      socket.emit('join', { type: 'seller', id: 5 });
      // @ts-expect-error: a misspelled event
      socket.on('booking:canceled', () => undefined);
      // @ts-expect-error: a service event has no booking
      socket.on('service:created', ({ booking }) => booking);
    };
    expectTypeOf(use).returns.toBeVoid();
  });

  test('refuses misspelled events and wrong payloads of backends', () => {
    const use = async (emitter: Emitter<ServerToClientEvents<'marketplace'>>) => {
      const about = { actor: { id: 1, role: 'vendor' }, timestamp: '2024-01-15T10:30:00.000Z' };
      const booking = { id: 2, vendorId: 5, userId: 9 };
      await emitter.to('user:9').emit('booking:cancelled', { ...about, booking });
      // @ts-expect-error: a misspelled event
      await emitter.to('user:9').emit('booking:canceled', { ...about, booking });
      // @ts-expect-error: a booking has a user
      await emitter.to('user:9').emit('booking:cancelled', { ...about, booking: { id: 2, vendorId: 5 } });
      // @ts-expect-error: no entity
      await emitter.to('user:9').emit('payment:failed', about);
    };
    expectTypeOf(use).returns.resolves.toBeVoid();
  });
});
