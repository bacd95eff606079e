/**
 * Clients that do nothing but answer pings: `[origin, clients, connected at once, first number]`. Each is a customer of
 * its own in a conversation of its own, which makes two rooms. Says so when all are there.
 */
import pMap from 'p-map';
import { whenAsked } from './child.ts';
import { connectRaw } from './raw-client.ts';

const [origin = '', clients = '0', concurrency = '1', first = '0'] = process.argv.slice(2);
let pings = 0;
let tell: (() => void) | undefined;

function pinged(): void {
  pings += 1;
  tell?.();
}

async function settle(number: number): Promise<void> {
  const { call } = await connectRaw(origin, { pinged });
  for (const [event, payload] of [
    ['authenticate', { customerId: number }],
    ['join-conversation', { conversationId: number }],
  ] as const) {
    const { ok } = (await call(event, payload)) as { ok?: boolean };
    if (ok !== true) throw new Error(`${event} was refused`);
  }
}

/** How many pings they have answered since their begin, as soon as it is so many. */
whenAsked<{ readonly pings: number }>(async ({ pings: wanted }) => {
  while (pings < wanted) {
    await new Promise<void>((resolve) => {
      tell = resolve;
    });
  }
  return pings;
});
process.once('disconnect', () => process.exit());
await pMap(
  Array.from({ length: Number(clients) }, (_, n) => Number(first) + n),
  settle,
  { concurrency: Number(concurrency) },
);
process.send?.('connected');
