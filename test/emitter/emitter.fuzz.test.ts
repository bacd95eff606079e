import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Emitter, PayloadError } from '../../emitter/index.ts';
import { publishRequestSchema } from '../../lambdas/contract/publish.ts';
import { withAttachments } from '../../lambdas/protocol/socket-packet.ts';
import { RecordingTransport } from './recording.ts';

const RUNS = 2_000;

/** What crosses the wire to the publish function. */
function arrived(transport: RecordingTransport): unknown {
  return JSON.parse(JSON.stringify(transport.sent.at(-1)));
}

const names = fc.oneof(
  fc.string(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('', 'connect', '\ud800', 'a', 'x'.repeat(2_049)),
);
const anything = fc.anything({
  withBigInt: true,
  withDate: true,
  withMap: true,
  withSet: true,
  withTypedArray: true,
  withNullPrototype: true,
  withSparseArray: true,
  withBoxedValues: true,
});
const argument = fc.oneof(
  anything,
  fc.func(fc.integer()),
  fc.constantFrom(Symbol('x'), new Blob([]), Buffer.alloc(4)),
);

test('whatever is emitted is refused at once or is a request the server accepts', async () => {
  let accepted = 0;
  const property = fc.asyncProperty(
    names,
    names,
    fc.array(names, { maxLength: 3 }),
    fc.boolean(),
    fc.array(argument, { maxLength: 3 }),
    async (namespace, event, rooms, volatile, args) => {
      const transport = new RecordingTransport();
      const io = new Emitter({ transport }).of(namespace).to(rooms).except(rooms.slice(1));
      try {
        await (volatile ? io.volatile : io).emit(event, ...args);
      } catch (error) {
        expect(error).toBeInstanceOf(PayloadError);
        expect(transport.sent).toEqual([]);
        return;
      }
      const parsed = publishRequestSchema.safeParse(arrived(transport));
      expect(parsed.error).toBeUndefined();
      expect(parsed.data).toMatchObject({ op: 'emit', event, rooms });
      accepted += 1;
    },
  );
  await fc.assert(property, { numRuns: RUNS });
  expect(accepted).toBeGreaterThan(RUNS / 10);
});

test('bytes anywhere in the arguments arrive as they were', async () => {
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      fc.jsonValue(),
      fc.uint8Array({ maxLength: 64 }),
      fc.array(tie('tree'), { maxLength: 3 }),
      fc.dictionary(fc.string(), tie('tree'), { maxKeys: 3, noNullPrototype: true }),
    ),
  }));
  const property = fc.asyncProperty(fc.array(tree, { maxLength: 3 }), async (args) => {
    const transport = new RecordingTransport();
    fc.pre(bytesIn(args) <= 10);
    await new Emitter({ transport }).emit('said', ...args);
    const parsed = publishRequestSchema.parse(arrived(transport));
    if (parsed.op !== 'emit') throw new Error('not an emit');
    const attachments = (parsed.attachments ?? []).map((text) => Buffer.from(text, 'base64'));
    expect(normalised(withAttachments(parsed.args, attachments))).toEqual(normalised(args));
  });
  await fc.assert(property, { numRuns: RUNS });
});

function bytesIn(value: unknown): number {
  if (value instanceof Uint8Array) return 1;
  if (typeof value !== 'object' || value === null) return 0;
  return Object.values(value).reduce<number>((sum, each) => sum + bytesIn(each), 0);
}

/** Bytes as text, so that a Buffer equals the array it was made of; otherwise what JSON keeps. */
function normalised(value: unknown): unknown {
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString('hex')}`;
  if (Array.isArray(value)) return value.map(normalised);
  if (typeof value !== 'object' || value === null) return Object.is(value, -0) ? 0 : value;
  const entries = Object.entries(value).filter(([key]) => key !== '__proto__');
  return Object.fromEntries(entries.map(([key, each]) => [key, normalised(each)]));
}
