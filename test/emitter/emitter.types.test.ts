/** What the compiler promises to backends; `tsc` refuses an `@ts-expect-error` line without an error. */
import { describe, expectTypeOf, test } from 'vitest';
import { type EmitResult, Emitter, watchGroups } from '../../emitter/index.ts';
import { RecordingTransport } from './recording.ts';

interface ChatEvents {
  said: (message: { readonly text: string }, urgent?: boolean) => void;
  rang: () => void;
}

const options = { transport: new RecordingTransport() };

describe('an emitter with an event map', () => {
  test('knows the events and their arguments, however narrowed', () => {
    const io = new Emitter<ChatEvents>(options);
    const use = async () => {
      await io.emit('said', { text: 'x' });
      await io
        .to('a')
        .except(['b'])
        .volatile.compress(true)
        .of('/c')
        .in('d')
        .emit('said', { text: 'x' }, true);
      await io.emit('rang');
      // @ts-expect-error: a misspelled event
      await io.emit('siad', { text: 'x' });
      // @ts-expect-error: a misspelled event to a room
      await io.to('a').emit('siad', { text: 'x' });
      // @ts-expect-error: a misspelled event of a namespace
      await io.of('/a').volatile.emit('siad', { text: 'x' });
      // @ts-expect-error: an argument of another type
      await io.emit('said', { text: 7 });
      // @ts-expect-error: an unknown key
      await io.emit('said', { text: 'x', txet: 'y' });
      // @ts-expect-error: a missing argument
      await io.emit('said');
      // @ts-expect-error: one argument too many
      await io.emit('said', { text: 'x' }, true, 1);
      // @ts-expect-error: an argument where there is none
      await io.emit('rang', 1);
      // @ts-expect-error: a room is named by text
      await io.to(7).emit('rang');
    };
    expectTypeOf(use).returns.resolves.toBeVoid();
    expectTypeOf(io.emit<'rang'>).returns.resolves.toEqualTypeOf<EmitResult>();
  });

  test('knows the arguments of what has been published', () => {
    const io = new Emitter<ChatEvents>(options);
    const use = async () => {
      const { events } = await io.in('a').history({ limit: 1 });
      for (const { event, args } of events) {
        if (event === 'said') expectTypeOf(args[0]).toEqualTypeOf<{ readonly text: string }>();
        else expectTypeOf(args).toEqualTypeOf<[]>();
      }
    };
    expectTypeOf(use).returns.resolves.toBeVoid();
  });

  test('serves the helpers of the applications as well', () => {
    expectTypeOf(watchGroups).toBeCallableWith(new Emitter<ChatEvents>(options));
    expectTypeOf(watchGroups).toBeCallableWith(new Emitter(options));
  });
});

describe('an emitter without one', () => {
  test('takes any event with any arguments', () => {
    const io = new Emitter(options);
    expectTypeOf(io.emit).toBeCallableWith('anything', 1, { two: 2 }, null);
    // @ts-expect-error: an event still has a name of text
    const use = () => io.emit(7);
    expectTypeOf(use).returns.resolves.toEqualTypeOf<EmitResult>();
  });
});
