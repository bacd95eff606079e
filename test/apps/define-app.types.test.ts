/**
 * What the compiler promises to whoever writes an application. The proofs are the `@ts-expect-error` lines, which
 * `tsc` refuses where there is no error; nothing here is run but the definitions.
 */
import { describe, expect, expectTypeOf, test } from 'vitest';
import * as z from 'zod/mini';
import { type AppSocket, type Auth, defineApp, type Id, id } from '../../lambdas/apps/define-app.ts';

interface User {
  readonly user: string;
}

const auth: Auth<User> = {
  authenticate: async () => ({ kind: 'accepted', identity: { user: 'ana' } }),
};
const serverEvents = {
  said: z.object({ text: z.string(), by: z.optional(id()) }),
  rang: z.undefined(),
};
type Socket = AppSocket<typeof serverEvents, User>;

describe('the types of a socket', () => {
  test('know its events and their payloads', () => {
    const use = async (socket: Socket) => {
      await socket.emit('said', { text: 'x' });
      await socket.emit('said', { text: 'x', by: 7 });
      await socket.emit('rang');
      await socket.to('list:1').except(['list:2']).volatile.emit('rang');
      expectTypeOf(await socket.timeout(5).emitWithAck('said', { text: 'x' })).toBeUnknown();
      expectTypeOf(await socket.volatile.to('list:1').emitWithAck('rang')).toEqualTypeOf<unknown[]>();
      expectTypeOf(await socket.nsp.timeout(5).emitWithAck('rang')).toEqualTypeOf<unknown[]>();
      // @ts-expect-error: a misspelled question
      await socket.emitWithAck('siad', { text: 'x' });
      // @ts-expect-error: a misspelled question to others
      await socket.broadcast.timeout(5).emitWithAck('siad', { text: 'x' });
      // @ts-expect-error: a question of another type
      await socket.timeout(5).emitWithAck('said', { text: 7 });
      // @ts-expect-error: a misspelled event
      await socket.emit('siad', { text: 'x' });
      // @ts-expect-error: a misspelled event to others
      await socket.to('list:1').emit('siad', { text: 'x' });
      // @ts-expect-error: a misspelled event to the namespace
      await socket.nsp.emit('siad', { text: 'x' });
      // @ts-expect-error: a payload of another type
      await socket.emit('said', { text: 7 });
      // @ts-expect-error: a payload that lacks a key
      await socket.broadcast.emit('said', {});
      // @ts-expect-error: a key nobody declared
      await socket.emit('said', { text: 'x', txet: 'x' });
      // @ts-expect-error: no payload where there must be one
      await socket.volatile.emit('said');
      // @ts-expect-error: two payloads
      await socket.emit('said', { text: 'x' }, 'y');
      // @ts-expect-error: a payload where there is none
      await socket.emit('rang', { text: 'x' });
      // @ts-expect-error: a room is named by text
      await socket.join(7);
    };
    expectTypeOf(use).returns.resolves.toBeVoid();
  });

  test('know what the authentication accepts, and that it may be missing', () => {
    const use = (socket: Socket): string | undefined => {
      // @ts-expect-error: a client without proof has no identity
      const unchecked = socket.identity.user;
      // @ts-expect-error: a key the identity does not have
      const unknown = socket.identity?.usr;
      return socket.identity?.user ?? unchecked ?? unknown;
    };
    expectTypeOf<Socket['identity']>().toEqualTypeOf<User | undefined>();
    expectTypeOf(use).returns.toEqualTypeOf<string | undefined>();
  });

  test('keep data to JSON and rooms to reading', () => {
    const use = (socket: Socket) => {
      socket.data.count = 1;
      // @ts-expect-error: a function is no JSON
      socket.data.later = () => 1;
      // @ts-expect-error: rooms are joined by `join`
      socket.rooms.add('list:1');
    };
    expectTypeOf(use).returns.toBeVoid();
  });
});

describe('the types of a definition', () => {
  test('hand each handler its payload, the socket its identity and a call its arguments', () => {
    const app = defineApp({
      name: 'typed',
      auth,
      serverEvents,
      rooms: {
        'list:': {
          canJoin: (socket, list) => {
            expectTypeOf(socket.identity).toEqualTypeOf<User | undefined>();
            expectTypeOf(list).toBeString();
            return true;
          },
        },
      },
      clientEvents: {
        add: {
          payload: z.object({ list: id(), text: z.string() }),
          handle: async (socket, payload) => {
            expectTypeOf(payload).toEqualTypeOf<{ list: Id; text: string }>();
            expectTypeOf(socket).toEqualTypeOf<Socket>();
            // @ts-expect-error: a key the payload does not have
            return { ok: true, item: payload.itme };
          },
        },
        clear: {
          payload: z.undefined(),
          handle: (socket, payload) => {
            expectTypeOf(payload).toBeUndefined();
            // @ts-expect-error: a misspelled event in a handler
            void socket.emit('siad', { text: 'x' });
          },
        },
      },
      backend: {
        rename: {
          args: z.tuple([id(), z.string()]),
          handle: async (io, [list, name]) => {
            expectTypeOf(list).toEqualTypeOf<Id>();
            expectTypeOf(name).toBeString();
            // @ts-expect-error: a misspelled event in a call
            await io.to('list:1').emit('siad', { text: 'x' });
          },
        },
      },
    });
    expectTypeOf(app.events.server).toEqualTypeOf<typeof serverEvents>();
    expectTypeOf<keyof typeof app.events.client>().toEqualTypeOf<'add' | 'clear'>();
    expect(Object.keys(app.clientEvents)).toEqual(['add', 'clear']);
  });

  test('refuse a key that is no part of a definition', () => {
    // @ts-expect-error: a misspelled hook
    defineApp({ name: 'typed', onConect: () => undefined });
    // @ts-expect-error: a definition without a name
    expect(() => defineApp({})).toThrow(TypeError);
    // @ts-expect-error: a misspelled option of a room kind
    defineApp({ name: 'typed', rooms: { 'list:': { canJion: () => true } } });
    // @ts-expect-error: an event without a payload schema
    defineApp({ name: 'typed', clientEvents: { add: { handle: () => undefined } } });
  });

  test('refuse an acknowledgement that is no JSON object', () => {
    const payload = z.undefined();
    // @ts-expect-error: a bare number
    defineApp({ name: 'typed', clientEvents: { add: { payload, handle: () => 7 } } });
    // @ts-expect-error: a date is no JSON
    defineApp({ name: 'typed', clientEvents: { add: { payload, handle: () => ({ at: new Date() }) } } });
    expectTypeOf(payload).not.toBeAny();
  });

  test('refuse a value that an event map cannot be made of', () => {
    // @ts-expect-error: a payload is described by a schema
    defineApp({ name: 'typed', serverEvents: { said: { text: 'string' } } });
    expectTypeOf<Id>().toEqualTypeOf<string | number>();
  });
});
