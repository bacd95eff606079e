import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { attackMinute } from '../../bench/price.ts';
import { FAN_OUT_SHARE } from '../../lambdas/bus/fan-out.ts';
import { silenceLimitMs } from '../../lambdas/bus/heartbeat.ts';
import { CONNECT_PACKETS } from '../../lambdas/bus/limits.ts';
import { DEFAULT_LIMITS } from '../../lambdas/contract/limits.ts';
import { COUNTS, DURATIONS } from '../../lambdas/contract/metrics.ts';
import { assembly, template } from '../support/assembly.ts';
import { MOST_LINE_BYTES } from '../support/observed-run.ts';
import { alarmMetrics, alarmsOf } from '../support/template-metrics.ts';

const page = await readFile(new URL('../../docs/cost.md', import.meta.url), 'utf8');
const HOURS = 730;
const PATIENCE_MINUTES = 2;

/** The cells of the table whose header begins with texts, without its header. */
function table(begin: string, second = ''): string[][] {
  const lines = page.split('\n');
  const at = lines.findIndex((line) =>
    line.startsWith(second === '' ? `| ${begin}` : `| ${begin} | ${second}`),
  );
  const rows = lines.slice(at + 2);
  return rows
    .slice(
      0,
      rows.findIndex((line) => !line.startsWith('|')),
    )
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.replaceAll('*', '').trim()),
    );
}

const [message, minute, request, gigabyteSecond, http, write, read] = table('price').map(
  ([, price]) => Number(price) / 1e6,
) as [number, number, number, number, number, number, number];

function cycle(tracked: boolean): number {
  const pong = request + 0.01 * gigabyteSecond + (tracked ? write : 0);
  return 2 * message + pong + 0.014 * read + 0.001 * gigabyteSecond;
}

function thousandIdle(intervalMinutes: number, tracked: boolean): string {
  const hour = (60 / intervalMinutes) * cycle(tracked) + 60 * minute;
  return `$${(1_000 * HOURS * hour).toFixed(2)}`;
}

test('the price of an idle socket at each interval is what the prices and assumptions come to', () => {
  const expected = [1, 2, 3, 4, 5, 6, 7, 8].map((interval) => {
    const perSecond = (2 * 100_000) / (interval * 60);
    const noticed =
      silenceLimitMs({ pingIntervalMinutes: interval, pingTimeoutMinutes: PATIENCE_MINUTES }) / 60_000;
    return [
      String(interval),
      thousandIdle(interval, true),
      thousandIdle(interval, false),
      Math.round(perSecond).toLocaleString('en'),
      `${(perSecond / 100).toFixed(1)} %`,
      `${noticed} to ${noticed + interval}`,
    ];
  });
  expect(table('ping interval')).toEqual(expected);
});

/** How often a request that is held looks at its row: once at first, then after pauses that double up to half a second. */
function looks(holdSeconds: number): number {
  let count = 1;
  for (let passed = 0, pause = 0.05; passed < holdSeconds - 1e-9; pause = Math.min(pause * 2, 0.5)) {
    passed += Math.min(pause, holdSeconds - passed);
    count += 1;
  }
  return count;
}

test('the price of a client that polls is what the prices and assumptions come to', () => {
  const idleHour = 15 * cycle(true) + 60 * minute;
  const expected = [1, 5, 10, 25].map((hold) => {
    const poll = http + request + hold * 0.5 * gigabyteSecond + 2 * write + looks(hold) * read;
    const hour = (3_600 / hold) * poll;
    return [
      String(hold),
      String(looks(hold)),
      hour.toFixed(4),
      (hour / idleHour).toFixed(0),
      `$${Math.round(1_000 * HOURS * hour).toLocaleString('en')}`,
    ];
  });
  expect(table('hold')).toEqual(expected);
});

test('the price of an attacker is what the quotas, the prices and assumptions come to', async () => {
  const quota = 10_000;
  const deployed = Object.values((await template(assembly())).Resources);
  const ofType = (type: string) => deployed.filter(({ Type }) => Type === type);
  // An HTTP API's throttle is one for each route; a signed one is no attacker's.
  const open = ofType('AWS::ApiGatewayV2::Route').filter(
    ({ Properties: { AuthorizationType, RouteKey } }) =>
      AuthorizationType === 'NONE' && !/^\$(connect|disconnect)$/.test(String(RouteKey)),
  );
  const stage = ofType('AWS::ApiGatewayV2::Stage').find(
    ({ Properties }) => Properties.StageName === '$default',
  );
  const { ThrottlingRateLimit: perRoute } = (stage?.Properties.DefaultRouteSettings ?? {}) as {
    ThrottlingRateLimit: number;
  };
  // Without `$default` of the WebSocket API, which has the same key.
  const httpRequests = (open.length - 1) * perRoute;
  const gigabytes = (name: string) =>
    Number(
      ofType('AWS::Lambda::Function').find(({ Properties }) => Properties.Handler === `${name}.handler`)
        ?.Properties.MemorySize,
    ) / 1_024;
  const event = 2 * message + request + 0.02 * gigabyteSecond + 2 * read;
  const connection = 3 * request + 0.02 * gigabyteSecond + 16 * write + 2 * read + message + minute;
  const post = message + 0.0001 * gigabyteSecond;
  const httpRequest = http + request + 0.05 * 0.5 * gigabyteSecond + 3 * write + 2 * read;
  const held = http + request + 5 * 0.5 * gigabyteSecond + 2 * write + looks(5) * read;
  const transfer = 32_768 * (0.09 / 1e9);
  const tableQuota = 40_000;
  /** As often as requests of the account and write units of the table allow. */
  const bounded = (perConnection: number, requests: number, units: number) =>
    Math.floor(Math.min(1_000 * perConnection, quota / requests, tableQuota / units));
  const packet = message + request + 0.02 * gigabyteSecond;
  const cycle = 2 * packet + message + 14 * write + 2 * read;
  const logged = packet + 3 * message + transfer + 64 * write + 8 * read;
  const rooms = 2 * packet + 3 * message + 105 * write + 21 * read;
  const connects = DEFAULT_LIMITS.eventsPerSecond / (CONNECT_PACKETS + 1);
  const attacks: [string, number, number][] = [
    ['send 50 events a second each', Math.min(1_000 * DEFAULT_LIMITS.eventsPerSecond, quota / 2), event],
    ['connect again and again', 500, connection],
    ['cause 1,000 posts with each event', FAN_OUT_SHARE * quota, post],
    ['cause 1,000 posts of 32 KB with each event', FAN_OUT_SHARE * quota, post + message + transfer],
    ['connect to a namespace and leave it again and again', bounded(connects, 3, 14), cycle],
    ['send 32 KB to a room that keeps a log', bounded(DEFAULT_LIMITS.eventsPerSecond, 3, 64), logged],
    [
      'join and leave a room beside 88 with long names',
      bounded(DEFAULT_LIMITS.joinsPerSecond, 5, 105),
      rooms,
    ],
    ['send HTTP requests', httpRequests, httpRequest],
    ['wait in a poll each, for 5 s', 1_000 / 5, held],
  ];
  expect(table('1,000 connections')).toEqual(
    attacks.map(([what, perSecond, price]) => [
      what,
      perSecond.toLocaleString('en'),
      `$${(3_600 * perSecond * price).toFixed(2)}`,
    ]),
  );
  const text = page.replaceAll('\n', ' ');
  expect(text).toContain(`40,000 write units a second, $${(3_600 * tableQuota * write).toFixed(2)} an hour`);
  expect(text).toContain(`4,000 a second ($${(3_600 * 4_000 * write).toFixed(2)} an hour)`);
  const few = (units: number, perSecond: number) => Math.ceil(4_000 / units / perSecond);
  expect(text).toContain(
    `${few(14, connects)} connections that connect and leave, ${few(64, DEFAULT_LIMITS.eventsPerSecond)} that send 32 KB or ${few(105, DEFAULT_LIMITS.joinsPerSecond)} that join and leave`,
  );
  for (const name of ['poll', 'message', 'deliver']) {
    const busy = 3_600 * 1_000 * gigabytes(name) * gigabyteSecond;
    expect(page.replaceAll('\n', ' ')).toContain(`$${busy.toFixed(2)} of \`${name}\``);
  }
  expect(page.replaceAll('\n', ' ')).toContain(
    `5,000 polls of 5 s fit the throttle of each of their routes, $${(3_600 * perRoute * held).toFixed(2)} an hour`,
  );
  expect(page).toContain(`makes it $${((3_600 * 200 * held) / 5).toFixed(2)}`);
  const firstMinute = 60 * (quota / 2) * event + 1_000 * connection;
  expect(page).toContain(`costs at most $${firstMinute.toFixed(2)}`);
  expect(page).toContain(`$${(1e6 * (3 * write + read)).toFixed(2)} for the users`);
  expect(page).toContain(`$${(1e6 * (3 * write + 2 * read)).toFixed(2)} for the\naddresses`);
});

test('the bench of an attack prints the same price', async () => {
  expect(page).toContain(`costs at most $${(await attackMinute(1_000)).toFixed(2)}`);
});

test('the price of a deployment without sockets is that of its sweep', () => {
  const runs = 60 * HOURS;
  const month = runs * (request + gigabyteSecond + 32 * read);
  expect(page).toContain(`$${month.toFixed(2)} a month`);
});

test('the price of watching is that of the metrics, alarms and the dashboard of the template', async () => {
  const deployed = await template(assembly());
  const [metric, alarm, board] = table('price', 'US$ a month').map(([, price]) => Number(price)) as [
    number,
    number,
    number,
  ];
  const metrics = COUNTS.length + DURATIONS.length;
  const watched = alarmMetrics(deployed).length;
  const month = metrics * metric + watched * alarm + board;
  const text = page.replaceAll('\n', ' ');
  expect(text).toContain(`${metrics} custom metrics`);
  expect(text).toContain(`at most $${(metrics * metric).toFixed(2)} a month`);
  expect(text).toContain(
    `${alarmsOf(deployed).length} alarms look at ${watched} metrics, $${(watched * alarm).toFixed(2)}`,
  );
  expect(text).toContain(`$${month.toFixed(2)} a month in all`);
});

test('the price of a line of metrics is small beside that of the event it is about', () => {
  const line = (MOST_LINE_BYTES / 1e9) * 0.5;
  // The frame of the client and one post, each a message; one run of 10 ms with 1 GB.
  const event = 2 * message + request + 0.01 * gigabyteSecond;
  expect(page).toContain(`$${(line * 1e6).toFixed(2)} with $0.50 per GB`);
  expect(page.replaceAll('\n', ' ')).toContain(`costs at least $${(event * 1e6).toFixed(2)} of messages`);
  expect(line / event).toBeLessThan(1 / 6);
});
