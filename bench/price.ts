/** Prices of docs/cost.md, so that no figure here has another one. */
import { usdOf } from '../dev/cost/bill.ts';
import { readCostPage, type Step } from '../dev/cost/page.ts';
import { DEFAULT_LIMITS } from '../lambdas/contract/limits.ts';

const HOURS = 730;

/** US$ of one idle connection in a month: its minutes, and its ping cycles with pongs written down. */
export async function idleMonth(pingIntervalMinutes: number): Promise<number> {
  const page = await readCostPage();
  const cycle = usdOf(page.step('a ping and its pong'), page);
  return HOURS * ((60 / pingIntervalMinutes) * cycle + 60 * page.price('WebSocket connection'));
}

/** Requests of the account in a second (API Gateway quotas page); an event and its answer are two. */
const QUOTA = 10_000;

/** A connection that opens and ends at once (docs/cost.md, "An attacker"), without its minute. */
const CONNECTION: Step = {
  writeUnits: 16,
  readUnits: 2,
  lambdaRequests: 3,
  messages: 1,
  httpRequests: 0,
  gigabyteSeconds: 0.02,
};

/**
 * US$ of the first minute of connections that send as fast as a limit or the account's quota lets them, at most.
 * @param opened how many are let in, where those that were closed come back
 */
export async function attackMinute(connections: number, opened = connections): Promise<number> {
  const page = await readCostPage();
  const event = usdOf(page.step('an event of a client'), page);
  const connection = usdOf(CONNECTION, page) + page.price('WebSocket connection');
  const perSecond = Math.min(connections * DEFAULT_LIMITS.eventsPerSecond, QUOTA / 2);
  return 60 * perSecond * event + opened * connection;
}
