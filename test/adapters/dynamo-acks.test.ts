import { beforeEach, describe, expect, test } from 'vitest';
import { DynamoAcks } from '../../lambdas/adapters/dynamo-acks.ts';
import { BUS_TABLE, type BusTable, busTable } from '../support/bus-table.ts';
import { FakeClock, SeededRandom, START } from '../support/world.ts';

const KEY = { namespace: '/', id: 7 };
const UNTIL = START + 1_000;
const socketId = (n: number): string => {
  const bytes = Buffer.alloc(15);
  bytes.writeUInt32BE(n, 0);
  return bytes.toString('base64url');
};
const answer = (n: number, text = `${n}`) => ({ socketId: socketId(n), frames: [`430["${text}"]`] });

let table: BusTable;
let clock: FakeClock;
let acks: DynamoAcks;
let calls: string[];
beforeEach(async () => {
  calls = [];
  table = await busTable();
  clock = new FakeClock();
  const send = (command: object) => {
    calls.push(command.constructor.name.replace('Command', ''));
    return table.client.send(command as never);
  };
  const client = { send } as unknown as BusTable['client'];
  acks = new DynamoAcks({ client, table: BUS_TABLE, clock, random: new SeededRandom(1) });
});

describe('an answer', () => {
  test('is kept while it is awaited, and read', async () => {
    await acks.await(KEY, UNTIL);
    expect(await acks.answer(KEY, answer(1))).toBe(true);
    expect(await acks.answers(KEY, [socketId(1), socketId(2)])).toEqual([answer(1)]);
  });

  test('of a socket that was not asked is not read, whether few were asked or so many that all answers are', async () => {
    await acks.await(KEY, UNTIL);
    for (const n of [1, 2]) await acks.answer(KEY, answer(n));
    const others = Array.from({ length: 100 }, (_, n) => socketId(100 + n));
    expect(await acks.answers(KEY, [socketId(1)])).toEqual([answer(1)]);
    expect(await acks.answers(KEY, [socketId(1), ...others])).toEqual([answer(1)]);
  });

  test('is a socket’s first one, also of several at the same time', async () => {
    await acks.await(KEY, UNTIL);
    const kept = await Promise.all(['a', 'b', 'c'].map((text) => acks.answer(KEY, answer(1, text))));
    expect(kept.filter(Boolean)).toHaveLength(1);
    const [first] = await acks.answers(KEY, [socketId(1)]);
    expect(await acks.answer(KEY, answer(1, 'd'))).toBe(false);
    expect(await acks.answers(KEY, [socketId(1)])).toEqual([first]);
  });

  test('that nobody waits for, or not any more, costs one read and leaves nothing', async () => {
    expect(await acks.answer(KEY, answer(1))).toBe(false);
    await acks.await(KEY, UNTIL);
    clock.advance(1_001);
    calls.length = 0;
    expect(await acks.answer(KEY, answer(1))).toBe(false);
    expect(calls).toEqual(['Get']);
    expect(await table.rows()).toHaveLength(1);
  });

  test('to one question is none to another: of another id, or of another namespace', async () => {
    await acks.await(KEY, UNTIL);
    expect(await acks.answer({ namespace: '/', id: 8 }, answer(1))).toBe(false);
    expect(await acks.answer({ namespace: '/7', id: 7 }, answer(1))).toBe(false);
    await acks.await({ namespace: '/', id: 8 }, UNTIL);
    await acks.answer(KEY, answer(1));
    expect(await acks.answers({ namespace: '/', id: 8 }, [socketId(1)])).toEqual([]);
  });

  test('and its question go by themselves two minutes after their time', async () => {
    await acks.await(KEY, UNTIL);
    await acks.answer(KEY, answer(1));
    const ends = (await table.rows()).map(({ t }) => t);
    expect(ends).toEqual([
      { N: String((UNTIL + 120_000) / 1_000) },
      { N: String((UNTIL + 120_000) / 1_000) },
    ]);
    clock.advance(122_000);
    expect(await acks.answers(KEY, [socketId(1)])).toEqual([]);
  });
});

describe('answers that are looked for', () => {
  const ids = (count: number) => Array.from({ length: count }, (_, n) => socketId(n));

  test.each([
    [100, 'BatchGet'],
    [101, 'Query'],
  ])('of %i sockets are read with one %s, and only theirs', async (count, call) => {
    await acks.await(KEY, UNTIL);
    for (const n of [0, 99, 5_000]) await acks.answer(KEY, answer(n));
    calls.length = 0;
    const found = await acks.answers(KEY, ids(count));
    expect(new Set(found.map((each) => each.socketId))).toEqual(new Set([socketId(0), socketId(99)]));
    expect(calls).toEqual([call]);
  });

  test('are read to the last page', async () => {
    await acks.await(KEY, UNTIL);
    // Eleven of 100 KB are more than the megabyte that one page holds.
    for (let n = 0; n < 11; n += 1) await acks.answer(KEY, answer(n, 'x'.repeat(100_000)));
    expect(await acks.answers(KEY, ids(200))).toHaveLength(11);
  });
});
