/** Prices of docs/cost.md, so that no figure here has another one. */
import { usdOf } from '../dev/cost/bill.ts';
import { readCostPage } from '../dev/cost/page.ts';
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

/** US$ of the first minute of connections that send as fast as a limit or the account's quota lets them, at most. */
export async function attackMinute(connections: number): Promise<number> {
  const { price } = await readCostPage();
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
