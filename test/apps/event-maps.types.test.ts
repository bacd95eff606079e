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
