import { expect, test } from 'vitest';
import { Emitter, PayloadError, watchGroups } from '../../emitter/index.ts';

const sent: unknown[] = [];
const groups = watchGroups(
  new Emitter({
    transport: {
      send: async (request) => {
        sent.push(request);
        return { ok: true, id: 'x', offset: null, audience: 0, posted: 0, gone: 0, failed: 0, ranges: 0 };
      },
    },
  }),
);

test.each([
  ['groupId', () => groups.emitToGroup(undefined as never, 'x', {})],
  ['userId', () => groups.emitToUser(1.5, 'x', {})],
  ['addedBy', () => groups.emitToGroup(1, 'series-added', { seriesName: 'Dark' })],
  ['message', () => groups.emitToUser(1, 'notification', { text: 'hola' })],
])('a call with a wrong %s throws at once and sends nothing', (field, call) => {
  expect(call).toThrow(PayloadError);
  expect(call).toThrow(field);
  expect(sent).toEqual([]);
});

test('any other event takes any payload', async () => {
  await groups.emitToGroup('7', 'anything', [1]);
  expect(sent).toMatchObject([{ rooms: ['group:7'], event: 'anything', args: [[1]] }]);
});
