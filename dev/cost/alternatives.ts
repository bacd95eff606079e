/** What others would cost for the same workload. Their prices, and what is taken for granted, are in docs/cost.md, "Beside others". */
import type { CostPage } from './page.ts';
import type { Workload } from './workload.ts';

/** AppSync Events meters operations by 5 KB. */
const OPERATION_BYTES = 5 * 1_024;
/** What one task of 1 vCPU and 2 GB is taken to hold and to send, and how many there are at least: one may fail. */
const TASK_CLIENTS = 10_000;
const TASK_POSTS_PER_SECOND = 10_000;
const TASK_GB = 2;
const LEAST_TASKS = 2;
/** A load balancer's capacity unit: active connections, new ones a second, GB an hour. */
const UNIT_CONNECTIONS = 3_000;
const UNIT_NEW_PER_SECOND = 25;
const UNIT_BYTES_PER_HOUR = 1e9;
/** Socket.IO's ping and pong every 25 s with their frames, TCP acknowledgements aside. */
const PINGS_AN_HOUR = 144;
const PING_BYTES = 12;
/** Redis in two zones. */
const CACHE_NODES = 2;
const MONTH_HOURS = 730;
/** Ably's packages: clients at once, messages a second. */
const PACKAGES = [
  { name: 'Ably Standard', clients: 10_000, perSecond: 2_500 },
  { name: 'Ably Pro', clients: 50_000, perSecond: 10_000 },
] as const;

export interface Alternative {
  readonly name: string;
  /** Undefined where nobody publishes a price for so much. */
  readonly usd: number | undefined;
  readonly note: string;
}

/** In US$ of the workload's period, without data transfer. */
export function alternativesOf(workload: Workload, page: CostPage): readonly Alternative[] {
  return [appSyncEvents(workload, page), fargate(workload, page), ably(workload, page)];
}

function appSyncEvents(workload: Workload, { price }: CostPage): Alternative {
  const { clients, hours, session, publishes, audience, sent, bytes } = workload;
  const minutes = clients * hours * 60;
  const size = Math.max(1, Math.ceil(bytes / OPERATION_BYTES));
  // A session is a connect and a subscription; an event of a client is published and handled.
  const operations = 2 * (minutes / session) + publishes * (1 + audience) * size + 2 * sent * size;
  const handlers = sent * (price('Lambda request') + 0.02 * price('Lambda GB-second'));
  return {
    name: 'AppSync Events',
    usd: minutes * price('AppSync connection') + operations * price('AppSync Events operation') + handlers,
    note: 'a client of its own; no acknowledgements, recovery or list of members',
  };
}

function fargate(workload: Workload, { price }: CostPage): Alternative {
  const { clients, hours, session, publishes, audience, sent, bytes } = workload;
  const perSecond = (publishes * audience + 2 * sent) / (hours * 3_600);
  const tasks = Math.max(
    LEAST_TASKS,
    Math.ceil(clients / TASK_CLIENTS),
    Math.ceil(perSecond / TASK_POSTS_PER_SECOND),
  );
  const task = price('Fargate vCPU-hour') + TASK_GB * price('Fargate GB-hour');
  const bytesAnHour = perSecond * 3_600 * bytes + clients * PINGS_AN_HOUR * 2 * PING_BYTES;
  const units = Math.max(
    clients / UNIT_CONNECTIONS,
    clients / (session * 60) / UNIT_NEW_PER_SECOND,
    bytesAnHour / UNIT_BYTES_PER_HOUR,
  );
  const balancer = price('load balancer hour') + units * price('load balancer capacity unit');
  return {
    name: 'Socket.IO on Fargate',
    usd: hours * (tasks * task + balancer + CACHE_NODES * price('ElastiCache node')),
    note: `${tasks} tasks, a load balancer, 2 nodes of Redis; sized for the average, not the peak`,
  };
}

function ably(workload: Workload, { price }: CostPage): Alternative {
  const { clients, hours, publishes, audience, sent } = workload;
  const messages = publishes * (1 + audience) + 2 * sent;
  const perSecond = messages / (hours * 3_600);
  const found = PACKAGES.find((one) => clients <= one.clients && perSecond <= one.perSecond);
  if (found === undefined)
    return {
      name: 'Ably',
      usd: undefined,
      note: 'beyond its packages with a price (50,000 clients, 10,000 messages/s)',
    };
  // Each client is in one channel, of as many as hear a publish.
  const channels = audience === 0 ? 0 : clients / audience;
  return {
    name: found.name,
    usd:
      (hours / MONTH_HOURS) * price(found.name) +
      messages * price('Ably message') +
      clients * hours * 60 * price('Ably connection') +
      channels * hours * 60 * price('Ably channel'),
    note: 'list price without discounts, for accounts from before it charged by active users',
  };
}
