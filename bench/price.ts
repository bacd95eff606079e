/** Prices of docs/cost.md, so that no figure here has another one. */
import { readFile } from 'node:fs/promises';

const HOURS = 730;
/** Assumptions of that page: GB-seconds of the pong's function and of a socket's share of the sweep, units of its read. */
const PONG_GB_SECONDS = 0.01;
const SWEEP_GB_SECONDS = 0.001;
const SLOT_READ_UNITS = 0.014;

/** US$ of one idle connection in a month: its minutes, and its ping cycles with pongs written down. */
export async function idleMonth(pingIntervalMinutes: number): Promise<number> {
  const page = await readFile(new URL('../docs/cost.md', import.meta.url), 'utf8');
  const price = (begin: string): number => {
    const line = page.split('\n').find((each) => each.startsWith(`| ${begin}`));
    const perMillion = Number(line?.split('|').at(-2));
    if (!(perMillion > 0)) throw new Error(`docs/cost.md has no price of ${begin}`);
    return perMillion / 1e6;
  };
  const cycle =
    2 * price('WebSocket message') +
    price('Lambda request') +
    (PONG_GB_SECONDS + SWEEP_GB_SECONDS) * price('Lambda GB-second') +
    price('DynamoDB write unit') +
    SLOT_READ_UNITS * price('DynamoDB read unit');
  return HOURS * ((60 / pingIntervalMinutes) * cycle + 60 * price('WebSocket connection'));
}
