/** What a deployment costs for a workload; arithmetic over docs/cost.md and the bench of the quota. */

import { COUNTS, DURATIONS } from '../../lambdas/contract/metrics.ts';
import { type FanOut, fanOutTo } from './fan-out.ts';
import type { CostPage, Step } from './page.ts';
import type { Workload } from './workload.ts';

/** A message is metered by 32 KB (API Gateway pricing); beside the arguments it has an event's name and an offset. */
const MESSAGE_BYTES = 32 * 1_024;
const FRAME_BYTES = 100;
/** A write unit (DynamoDB); a row of the log has this beside the arguments. */
const WRITE_BYTES = 1_024;
const LOG_ROW_BYTES = 200;
/** Memory of `publish` and `deliver`, of `poll` and of `sweep`; GB (lib/functions.ts). */
const PUBLISH_GB = 1_769 / 1_024;
const POLL_GB = 0.5;
const SWEEP_GB = 1;
/** A poll that is held for 5 s, the default: two writes, and so many looks at its row (docs/cost.md, "A client that polls"). */
const HOLD_SECONDS = 5;
const HOLD_LOOKS = 14;
const HOLD_WRITES = 2;
/** A sweep reads so many shards (docs/cost.md, "A socket that does nothing"). */
const SWEEP_READS = 32;
/** What Lambda itself writes to the log of an invocation (START, END, REPORT), an assumption, and our line of metrics at most. */
const INVOCATION_LOG_BYTES = 300;
const METRICS_LOG_BYTES = 700;
const MONTH_HOURS = 730;
/** Metrics, of which a deployment that nobody uses has one, alarms and the dashboard (docs/cost.md, "Watching it"). */
const METRICS = COUNTS.length + DURATIONS.length;
const IDLE_METRICS = 1;
const ALARM_METRICS = 35;

export interface Line {
  readonly what: string;
  /** How many of them there are. */
  readonly count: number;
  readonly unit: string;
  readonly usd: number;
}

export interface Bill {
  readonly lines: readonly Line[];
  readonly usd: number;
  /** Of API Gateway's quota of the account, on average. */
  readonly requestsPerSecond: number;
}

export interface Rates {
  readonly page: CostPage;
  readonly fanOuts: readonly FanOut[];
}

/** US$ of the workload's period, without free tiers, data transfer and storage. */
export function billOf(workload: Workload, rates: Rates): Bill {
  const { page } = rates;
  const counts = countsOf(workload);
  const { pings, polls, sessions, socketMinutes } = counts;
  const ping = page.step('a ping and its pong');
  const session = page.step(sessionStep(workload));
  const event = page.step('an event of a client');
  const fanOut = fanOutTo(workload.audience, rates.fanOuts);
  const publish = publishUse(workload, fanOut, page.step('a publish'));
  const invocations =
    pings * ping.lambdaRequests +
    sessions * session.lambdaRequests +
    workload.sent * event.lambdaRequests +
    workload.publishes * publish.lambdaRequests +
    polls;
  const lines = [
    {
      what: 'connections',
      count: socketMinutes,
      unit: 'minutes',
      usd: socketMinutes * page.price('WebSocket connection'),
    },
    { what: 'pings', count: pings, unit: 'cycles', usd: pings * usdOf(ping, page) },
    { what: 'sessions', count: sessions, unit: 'connects', usd: sessions * sessionUsd(session, page) },
    { what: 'polling', count: polls, unit: 'requests', usd: polls * pollUsd(page) },
    {
      what: 'publishes',
      count: workload.publishes * workload.audience,
      unit: 'posts',
      usd: workload.publishes * usdOf(publish, page),
    },
    {
      what: 'events of clients',
      count: workload.sent,
      unit: 'events',
      usd: workload.sent * usdOf({ ...event, messages: event.messages - 1 + messagesOf(workload) }, page),
    },
    logLine(workload, sessions, invocations, page),
    { what: 'the deployment', count: workload.hours, unit: 'hours', usd: standingUsd(workload, page) },
  ];
  const requests =
    pings * ping.messages +
    sessions * (session.messages + session.httpRequests) +
    polls +
    workload.publishes * workload.audience +
    workload.sent * event.messages;
  return {
    lines,
    usd: lines.reduce((sum, { usd }) => sum + usd, 0),
    requestsPerSecond: requests / (workload.hours * 3_600),
  };
}

/** US$ of one step. */
export function usdOf(step: Step, { price }: CostPage): number {
  return (
    step.writeUnits * price('DynamoDB write unit') +
    step.readUnits * price('DynamoDB read unit') +
    step.lambdaRequests * price('Lambda request') +
    step.messages * price('WebSocket message') +
    step.httpRequests * price('HTTP API request') +
    step.gigabyteSeconds * price('Lambda GB-second')
  );
}

function countsOf({ clients, hours, heartbeat, polling, session }: Workload) {
  const pollers = (clients * polling) / 100;
  const socketMinutes = (clients - pollers) * hours * 60;
  return {
    socketMinutes,
    pings: socketMinutes / heartbeat,
    sessions: (clients * hours * 60) / session,
    polls: (pollers * hours * 3_600) / HOLD_SECONDS,
  };
}

function sessionStep({ transports }: Workload): string {
  return transports === 'default' ? 'a session with default options' : 'a session over a WebSocket';
}

/** Each request of a handshake, and the upgrade, comes through the front door. */
function sessionUsd(session: Step, page: CostPage): number {
  return usdOf(session, page) + (session.httpRequests + 1) * doorUsd(page);
}

function doorUsd({ price }: CostPage): number {
  return price('CloudFront request') + price('CloudFront function');
}

function pollUsd(page: CostPage): number {
  const step: Step = {
    writeUnits: HOLD_WRITES,
    readUnits: HOLD_LOOKS,
    lambdaRequests: 1,
    messages: 0,
    httpRequests: 1,
    gigabyteSeconds: HOLD_SECONDS * POLL_GB,
  };
  return usdOf(step, page) + doorUsd(page);
}

/** One publish with all its posts. */
function publishUse(workload: Workload, fanOut: FanOut, publish: Step): Step {
  return {
    writeUnits: publish.writeUnits * logUnits(workload.bytes) + fanOut.writeUnits,
    readUnits: publish.readUnits + fanOut.readUnits,
    lambdaRequests: publish.lambdaRequests + fanOut.ranges,
    messages: workload.audience * messagesOf(workload),
    httpRequests: publish.httpRequests,
    gigabyteSeconds: fanOut.seconds * PUBLISH_GB,
  };
}

/** Write units of an event's row in the log, by the bytes of its arguments. */
export function logUnits(bytes: number): number {
  return Math.ceil((bytes + LOG_ROW_BYTES) / WRITE_BYTES);
}

function messagesOf({ bytes }: Workload): number {
  return Math.ceil((bytes + FRAME_BYTES) / MESSAGE_BYTES);
}

function logLine(
  { publishes, sent }: Workload,
  sessions: number,
  invocations: number,
  { price }: CostPage,
): Line {
  const bytes = invocations * INVOCATION_LOG_BYTES + (publishes + sent + sessions) * METRICS_LOG_BYTES;
  return { what: 'logs', count: bytes / 1e9, unit: 'GB', usd: (bytes / 1e9) * price('log, each GB') };
}

/** Of a deployment without clients: its sweep, metrics, alarms and the dashboard. */
function standingUsd({ hours, clients, publishes }: Workload, { price }: CostPage): number {
  const sweep =
    price('Lambda request') +
    SWEEP_GB * price('Lambda GB-second') +
    SWEEP_READS * price('DynamoDB read unit');
  const metrics = clients + publishes > 0 ? METRICS : IDLE_METRICS;
  const watching = metrics * price('custom metric') + ALARM_METRICS * price('alarm') + price('dashboard');
  return 60 * hours * sweep + (hours / MONTH_HOURS) * watching;
}
