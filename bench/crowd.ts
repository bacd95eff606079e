/** Clients that count what they hear: `[origin, clients, connected at once]`. Says so when all are connected. */
import pMap from 'p-map';
import { sharedNow, whenAsked } from './child.ts';
import { connectRaw } from './raw-client.ts';

/** When the message of this number had come this often, all clients together. */
export interface Expectation {
  readonly message: number;
  readonly times: number;
}

interface Count {
  times: number;
  expected: number;
  tell: (atMs: number) => void;
}

const NUMBER = /"messageId":(\d+)/;

const counts = new Map<number, Count>();
const [origin = '', clients = '0', concurrency = '1'] = process.argv.slice(2);

function countOf(message: number): Count {
  const count = counts.get(message) ?? { times: 0, expected: Number.POSITIVE_INFINITY, tell: () => {} };
  counts.set(message, count);
  return count;
}

function heard(frame: string): void {
  const count = countOf(Number(NUMBER.exec(frame)?.[1]));
  count.times += 1;
  if (count.times === count.expected) count.tell(sharedNow());
  // Nobody is to hear it twice: a figure of such a run would say nothing.
  if (count.times > count.expected) throw new Error('a message was delivered too often');
}

whenAsked<Expectation>(
  ({ message, times }) =>
    new Promise<number>((resolve) => {
      const count = countOf(message);
      count.expected = times;
      count.tell = resolve;
      // The parent asks before it sends; only messages to nobody could have been complete by now.
      if (count.times >= times) resolve(sharedNow());
    }),
);
process.once('disconnect', () => process.exit());
await pMap(Array.from({ length: Number(clients) }), () => connectRaw(origin, { heard }), {
  concurrency: Number(concurrency),
});
process.send?.('connected');
