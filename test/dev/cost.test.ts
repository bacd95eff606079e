import { readFile } from 'node:fs/promises';
import * as fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { idleMonth } from '../../bench/price.ts';
import { alternativesOf } from '../../dev/cost/alternatives.ts';
import { billOf, type Rates } from '../../dev/cost/bill.ts';
import { fanOutTo, measuredFanOuts } from '../../dev/cost/fan-out.ts';
import { readCostPage } from '../../dev/cost/page.ts';
import { type Workload, workloadOf } from '../../dev/cost/workload.ts';
import { run } from './program.ts';

const page = await readFile(new URL('../../docs/cost.md', import.meta.url), 'utf8');
const cost = (args: readonly string[]) => run(['--import', 'tsx', 'dev/cost.ts', ...args]);

let rates: Rates;
beforeAll(async () => {
  const [costPage, fanOuts] = await Promise.all([readCostPage(), measuredFanOuts()]);
  rates = { page: costPage, fanOuts };
});

const workload = (options: Record<string, number | string>): Workload =>
  workloadOf(Object.fromEntries(Object.entries(options).map(([name, value]) => [name, String(value)])));
const usd = (options: Record<string, number | string>) => billOf(workload(options), rates).usd;
const line = (what: string, options: Record<string, number | string>) =>
  billOf(workload(options), rates).lines.find((each) => each.what === what)?.usd;

describe('npm run cost', () => {
  test('prints what docs/cost.md shows', async () => {
    const [, command = '', shown] = /^\$ npm run cost -- (.*)\n([\s\S]*?)^```/m.exec(page) ?? [];
    const { code, stdout } = await cost(command.split(' '));
    expect(stdout).toBe(shown);
    expect(code).toBe(0);
  });

  test('says what each option means', async () => {
    const { code, stdout } = await cost(['--help']);
    const options = ['clients', 'hours', 'publishes', 'audience', 'heartbeat', 'sent', 'bytes', 'session'];
    for (const option of [...options, 'transports', 'polling']) expect(stdout).toContain(`--${option} <`);
    expect(code).toBe(0);
  });

  test('names every option that is wrong, and prices nothing', async () => {
    const { code, stdout, stderr } = await cost(['--clients', '10', '--hours', '0x10', '--heartbeat', '9']);
    expect(stderr.split('\n').slice(0, 2)).toEqual([
      '--hours must be a number from 1 to 8,784, not "0x10"',
      '--heartbeat must be a whole number from 1 to 8, not "9"',
    ]);
    expect([code, stdout]).toEqual([2, '']);
  });
});

describe('an option', () => {
  test.each([
    ['--clients', {}, '--clients is missing'],
    ['--clients', { clients: '' }, '--clients must be a whole number'],
    ['--clients', { clients: '1e9' }, '--clients must be a whole number'],
    ['--audience', { clients: '5', publishes: '1', audience: '6' }, '--audience is 6, and there are only 5'],
    ['--transports', { clients: '5', transports: 'ws' }, '--transports must be default or websocket'],
    ['--polling', { clients: '5', polling: '1', transports: 'websocket' }, '--polling must be 0'],
    ['--session', { clients: '5', session: '110' }, '--session must be a number from 1 to 109'],
  ])('%s is refused by its name where it is %o', (_name, options, message) => {
    expect(() => workloadOf(options)).toThrow(message);
  });
});

describe('a bill', () => {
  test('has the connections and pings of the table of idle sockets, and of the bench', async () => {
    const options = { clients: 1_000, heartbeat: 4 };
    const month = (line('connections', options) ?? 0) + (line('pings', options) ?? 0);
    expect(page).toContain(`| **4** | $${month.toFixed(2)} |`);
    expect(1_000 * (await idleMonth(4))).toBeCloseTo(month);
  });

  test('has the price of clients that poll', () => {
    const month = line('polling', { clients: 1_000, polling: 100 }) ?? 0;
    const row = /^\| \*\*5\*\* \|.*\| (\$[\d,]+) \|$/m.exec(page);
    // On that page they come to the HTTP API, here through the front door.
    const door =
      (3_600 / 5) *
      730 *
      1_000 *
      (rates.page.price('CloudFront request') + rates.page.price('CloudFront function'));
    expect(row?.[1]).toBe(`$${Math.round(month - door).toLocaleString('en')}`);
  });

  test('of nobody, and the number of clients from which Fargate is cheaper, are those of the page', () => {
    const text = page.replaceAll('\n', ' ').replaceAll(/ +/g, ' ');
    const fargate = (options: Record<string, number | string>) =>
      alternativesOf(workload(options), rates.page).find(({ name }) => /Fargate/.test(name))?.usd ?? 0;
    const evenAt = (options: Record<string, number | string>) => {
      let hundreds = 0;
      while (usd({ clients: hundreds * 100, ...options }) < fargate({ clients: hundreds * 100, ...options }))
        hundreds += 1;
      return (hundreds * 100).toLocaleString('en');
    };
    expect(text).toContain(`This** costs $${usd({ clients: 0 }).toFixed(2)} a month when nobody is there`);
    expect(text).toContain(`It costs $${fargate({ clients: 0 }).toFixed(0)} a month when nobody is there`);
    expect(text).toContain(`is cheaper from about ${evenAt({})} clients that are always there`);
    expect(text).toContain(`(${evenAt({ transports: 'websocket', heartbeat: 8 })} with`);
  });

  test('is above AppSync’s but for many large events', () => {
    const appSync = (options: Record<string, number | string>) =>
      alternativesOf(workload(options), rates.page).find(({ name }) => /AppSync/.test(name))?.usd ?? 0;
    const busy = { clients: 1_000, publishes: 10_000_000, audience: 50 };
    for (const options of [{ clients: 0 }, { clients: 1_000 }, busy]) {
      expect(appSync(options)).toBeLessThan(usd(options));
    }
    expect(appSync({ ...busy, bytes: 20_000 })).toBeGreaterThan(usd({ ...busy, bytes: 20_000 }));
  });

  test('counts a message for each 32 KB that an event has', () => {
    const options = { clients: 100, publishes: 1_000_000, audience: 100 };
    const [small, large] = [40, 33].map(
      (kilobytes) => line('publishes', { ...options, bytes: kilobytes * 1_024 }) ?? 0,
    );
    const posts = 100 * 1e6 * rates.page.price('WebSocket message');
    expect(small).toBeGreaterThan(2 * posts);
    expect(large).toBeGreaterThan(2 * posts);
    expect(line('publishes', { ...options, bytes: 31 * 1_024 })).toBeLessThan(2 * posts);
  });

  const numbers = {
    clients: fc.integer({ min: 1, max: 200_000 }),
    hours: fc.integer({ min: 1, max: 8_000 }),
    publishes: fc.integer({ min: 0, max: 1e9 }),
    audience: fc.integer({ min: 0, max: 200_000 }),
    heartbeat: fc.integer({ min: 1, max: 8 }),
    sent: fc.integer({ min: 0, max: 1e9 }),
    bytes: fc.integer({ min: 0, max: 100_000 }),
    session: fc.integer({ min: 1, max: 109 }),
    polling: fc.integer({ min: 0, max: 100 }),
  };
  const workloads = fc
    .record(numbers)
    .map((all) => ({ ...all, audience: Math.min(all.audience, all.clients) }));

  test.each([
    ['clients', 200_001],
    ['hours', 8_001],
    ['publishes', 2e9],
    ['sent', 2e9],
    ['bytes', 120_000],
  ] as const)('is never smaller with more %s', (option, most) => {
    fc.assert(
      fc.property(workloads, fc.nat(), (one, more) => {
        const larger = { ...one, [option]: Math.min(most, one[option] + more) };
        expect(usd(larger)).toBeGreaterThanOrEqual(usd(one));
        // The same events in more time need fewer tasks.
        if (option === 'hours') return;
        const [before, after] = [one, larger].map((each) => alternativesOf(workload(each), rates.page));
        for (const [n, { name, usd: price }] of (before ?? []).entries()) {
          const then = after?.[n];
          // Another package of Ably's, or none, is another price list.
          if (then?.name === name && price !== undefined) expect(then.usd).toBeGreaterThanOrEqual(price);
        }
      }),
    );
  });

  test('is never smaller with a larger audience, nor larger with rarer pings and longer sessions', () => {
    fc.assert(
      fc.property(workloads, fc.nat({ max: 1_000 }), (one, more) => {
        const before = usd(one);
        expect(
          usd({ ...one, clients: one.clients + more, audience: one.audience + more }),
        ).toBeGreaterThanOrEqual(before);
        expect(usd({ ...one, heartbeat: Math.min(8, one.heartbeat + 1) })).toBeLessThanOrEqual(before);
        expect(usd({ ...one, session: Math.min(109, one.session + 1) })).toBeLessThanOrEqual(before);
      }),
    );
  });
});

describe('a broadcast', () => {
  test('takes what was measured where it was measured, and between that between', () => {
    const { fanOuts } = rates;
    for (const point of fanOuts) expect(fanOutTo(point.recipients, fanOuts)).toEqual(point);
    expect(fanOutTo(200, fanOuts).readUnits).toBeCloseTo(3);
    expect(fanOutTo(1_000_000, fanOuts).seconds).toBeGreaterThan(9 * (fanOuts.at(-1)?.seconds ?? 0));
  });
});
