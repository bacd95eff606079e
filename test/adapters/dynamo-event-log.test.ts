import { expect, test } from 'vitest';
import { DynamoEventLog } from '../../lambdas/adapters/dynamo-event-log.ts';
import type { LoggedGroup } from '../../lambdas/bus/ports.ts';
import { BUS_TABLE, busTable } from '../support/bus-table.ts';
import { FakeClock, SeededRandom, START } from '../support/world.ts';

const ID = 'AAAAAAAAAAAAAAAAAAAA';
const ONE: LoggedGroup = { kind: 'room', namespace: '/', room: 'one' };
const OTHER: LoggedGroup = { kind: 'room', namespace: '/', room: 'other' };

test('a message of several rooms that is written again for fewer is for all of the others as before', async () => {
  const { client } = await busTable();
  const log = new DynamoEventLog({
    client,
    table: BUS_TABLE,
    clock: new FakeClock(),
    random: new SeededRandom(1),
  });
  const message = { id: ID, frames: ['42["said","…"]'] };
  await log.append([ONE, OTHER], { ...message, except: [], position: START });
  const later = START + 9_000;
  const range = { after: ID };
  await log.append([ONE, OTHER], { ...message, except: ['had it'], range, position: later });

  for (const group of [ONE, OTHER])
    expect(await log.read(group, { from: START, limit: 10 })).toEqual([
      { ...message, except: [], position: START },
      { ...message, except: ['had it'], range, position: later },
    ]);
});
