/** Prices of docs/cost.md, so that no figure here has another one. */
import { readFile } from 'node:fs/promises';
import { DEFAULT_LIMITS } from '../lambdas/contract/limits.ts';

const HOURS = 730;
/** Assumptions of that page: GB-seconds of the pong's function and of a socket's share of the sweep, units of its read. */
const PONG_GB_SECONDS = 0.01;
const SWEEP_GB_SECONDS = 0.001;
const SLOT_READ_UNITS = 0.014;

/** Of its page; in US$. */
async function prices(): Promise<(begin: string) => number> {
  const page = await readFile(new URL('../docs/cost.md', import.meta.url), 'utf8');
  return (begin) => {
    const line = page.split('\n').find((each) => each.startsWith(`| ${begin}`));
    const perMillion = Number(line?.split('|').at(-2));
    if (!(perMillion > 0)) throw new Error(`docs/cost.md has no price of ${begin}`);
    return perMillion / 1e6;
  };
}

/** US$ of one idle connection in a month: its minutes, and its ping cycles with pongs written down. */
export async function idleMonth(pingIntervalMinutes: number): Promise<number> {
  const price = await prices();
  const cycle =
    2 * price('WebSocket message') +
    price('Lambda request') +
    (PONG_GB_SECONDS + SWEEP_GB_SECONDS) * price('Lambda GB-second') +
    price('DynamoDB write unit') +
    SLOT_READ_UNITS * price('DynamoDB read unit');
  return HOURS * ((60 / pingIntervalMinutes) * cycle + 60 * price('WebSocket connection'));
}

/** Requests of the account in a second (API Gateway quotas page); an event and its answer are two. */
const QUOTA = 10_000;

/** US$ of the first minute of connections that send as fast as a limit or the account's quota lets them, at most. */
export async function attackMinute(connections: number): Promise<number> {
  const price = await prices();
  const event =
    2 * price('WebSocket message') +
    price('Lambda request') +
    0.02 * price('Lambda GB-second') +
    2 * price('DynamoDB read unit');
  const connection =
    3 * price('Lambda request') +
    0.02 * price('Lambda GB-second') +
    16 * price('DynamoDB write unit') +
    2 * price('DynamoDB read unit') +
    price('WebSocket message') +
    price('WebSocket connection');
  const perSecond = Math.min(connections * DEFAULT_LIMITS.eventsPerSecond, QUOTA / 2);
  return 60 * perSecond * event + connections * connection;
}
