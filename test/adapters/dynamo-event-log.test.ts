import { beforeEach, describe, expect, test } from 'vitest';
import { DynamoEventLog } from '../../lambdas/adapters/dynamo-event-log.ts';
import type { LogEntry, LoggedGroup } from '../../lambdas/bus/ports.ts';
import { BUS_TABLE, busTable } from '../support/bus-table.ts';
import { FakeClock, SeededRandom, START } from '../support/world.ts';

const ROOM: LoggedGroup = { kind: 'room', namespace: '/', room: 'list:1' };
const OTHER: LoggedGroup = { kind: 'room', namespace: '/', room: 'list:2' };
/** In the order of their bytes, which is not that of their texts. */
const [A, B, C] = ['AAAAAAAAAAAAAAAAAAAA', 'aaaaaaaaaaaaaaaaaaaa', '00000000000000000000'] as const;
const PLACES = [
  { position: START, id: A },
  { position: START, id: B },
  { position: START, id: C },
  { position: START + 1, id: A },
];

let clock: FakeClock;
let log: DynamoEventLog;
beforeEach(async () => {
  clock = new FakeClock();
  const { client } = await busTable();
  log = new DynamoEventLog({ client, table: BUS_TABLE, clock, random: new SeededRandom(1) });
});

const entry = (place: { position: number; id: string }): LogEntry => ({
  ...place,
  frames: [`42["said","${place.id}"]`],
  except: [],
});
const places = (entries: readonly LogEntry[]) => entries.map(({ position, id }) => ({ position, id }));

describe('a log is read', () => {
  beforeEach(async () => {
    for (const place of PLACES) await log.append([ROOM], entry(place));
    await log.append([OTHER], entry({ position: START, id: B }));
  });

  test.each(PLACES.map((place, index) => [index, place] as const))(
    'from beyond entry %i on, up to the limit, forwards and backwards',
    async (index, after) => {
      const forwards = await log.read(ROOM, { from: after.position, limit: 2, after });
      expect(places(forwards)).toEqual(PLACES.slice(index + 1, index + 3));
      const backwards = await log.read(ROOM, { from: 0, limit: 2, descending: true, after });
      expect(places(backwards)).toEqual(PLACES.slice(0, index).reverse().slice(0, 2));
    },
  );

  test('from beyond a place that no entry has', async () => {
    const after = { position: START, id: 'BBBBBBBBBBBBBBBBBBBB' };
    const read = await log.read(ROOM, { from: START, limit: 9, after });
    expect(places(read)).toEqual(PLACES.slice(1));
    const none = { position: START + 5, id: A };
    expect(await log.read(ROOM, { from: none.position, limit: 9, after: none })).toEqual([]);
  });

  test('for as long as entries last', async () => {
    clock.advance(135 * 60_000 + 1_000);
    expect(await log.read(ROOM, { from: 0, limit: 9 })).toEqual([]);
  });
});

test('what was published to two rooms is whole in both, beyond a place too', async () => {
  const said = { ...entry({ position: START, id: B }), except: ['x'], frames: ['451-["said"]', 'bAQID'] };
  await log.append([ROOM, OTHER], said);
  for (const group of [ROOM, OTHER]) {
    const read = await log.read(group, { from: START, limit: 1, after: { position: START, id: A } });
    expect(read).toEqual([said]);
  }
});

test('a message of several rooms that is written again for fewer is for all of the others as before', async () => {
  const message = { id: A, frames: ['42["said","…"]'] };
  await log.append([ROOM, OTHER], { ...message, except: [], position: START });
  const later = START + 9_000;
  const range = { after: A };
  await log.append([ROOM, OTHER], { ...message, except: ['had it'], range, position: later });

  for (const group of [ROOM, OTHER])
    expect(await log.read(group, { from: START, limit: 10 })).toEqual([
      { ...message, except: [], position: START },
      { ...message, except: ['had it'], range, position: later },
    ]);
});
