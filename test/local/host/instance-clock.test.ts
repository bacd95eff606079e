import { describe, expect, test } from 'vitest';
import { fixture, hosting } from './deployments.ts';

const HOUR = 3_600_000;

interface Clocks {
  readonly now: number;
  readonly constructed: number;
  readonly called: number;
  readonly subclass: readonly [boolean, boolean, number];
  readonly given: number;
  readonly parsed: readonly [number, number, string];
  readonly sameConstructor: boolean;
  readonly ofDay: number;
  readonly sinceStart: number;
  readonly remaining: number;
}

describe('the clock inside a function', () => {
  test('is that of the stack, in everything that tells the time, and Date stays what it is', async () => {
    await using hosted = await hosting([fixture('clocks')]);
    const { host, clock } = hosted;
    await clock.advance(2 * HOUR);
    const told = async () => ((await host.invoke('clocks', {})) as { value: Clocks }).value;
    const clocks = await told();
    const near = (ms: number) => Math.abs(ms - clock.now()) < 1_500;
    expect(clock.now() - Date.now()).toBeGreaterThan(1.9 * HOUR);
    for (const ms of [clocks.now, clocks.constructed, clocks.called, clocks.subclass[2], clocks.ofDay])
      expect(near(ms)).toBe(true);
    expect(clocks).toMatchObject({
      subclass: [true, true, expect.any(Number)],
      given: 86_400_000,
      parsed: [1_000, 0, '1970-01-01T00:00:00.005Z'],
      sameConstructor: true,
    });
    // A fresh instance has run for moments only; what passes from now on counts.
    expect(clocks.sinceStart).toBeLessThan(HOUR);
    expect(clocks.remaining).toBeLessThanOrEqual(10_000);
    expect(clocks.remaining).toBeGreaterThan(9_000);
    await clock.advance(HOUR);
    expect((await told()).sinceStart).toBeGreaterThan(HOUR);
  });

  test('moves in the middle of an event, and the remaining time with it', async () => {
    await using hosted = await hosting([fixture('watchClock')]);
    const { host, clock, logged } = hosted;
    const watching = logged('watching');
    const invocation = host.invoke('watchClock', {});
    await watching;
    await clock.advance(6_000);
    const { value } = (await invocation) as { value: { passed: number; remaining: number } };
    expect(value.passed).toBeGreaterThanOrEqual(6_000);
    expect(value.remaining).toBeLessThanOrEqual(4_000);
  });

  test('makes a token expire', async () => {
    await using hosted = await hosting([fixture('verify')]);
    const { host, clock } = hosted;
    const exp = Math.floor(clock.now() / 1000) + 3_600;
    expect(await host.invoke('verify', { exp })).toMatchObject({ value: 'valid' });
    await clock.advance(HOUR);
    expect(await host.invoke('verify', { exp })).toMatchObject({
      error: { errorMessage: 'the token has expired' },
    });
  });

  test('is the one that ends a function at its timeout', async () => {
    await using hosted = await hosting([fixture('forever', { timeoutSeconds: 900 })]);
    const { host, clock } = hosted;
    await host.prewarm();
    const running = host.invoke('forever', {});
    await clock.advance(899_000);
    expect(host.busy()).toEqual(['forever (1)']);
    await clock.advance(1_000);
    expect(await running).toMatchObject({
      kind: 'timeout',
      error: { errorMessage: expect.stringContaining('Task timed out after 900.00 seconds') },
    });
    expect(host.instances('forever')).toBe(0);
  });

  test('is the one in trace ids and names of log streams', async () => {
    await using hosted = await hosting([fixture('environment'), fixture('echo')]);
    const { host, clock } = hosted;
    await clock.advance(48 * HOUR);
    const { value: environment } = (await host.invoke('environment', {})) as {
      value: Record<string, string>;
    };
    const [, seconds = ''] = /^Root=1-([0-9a-f]{8})-/.exec(environment._X_AMZN_TRACE_ID!) ?? [];
    expect(Math.abs(Number.parseInt(seconds, 16) * 1000 - clock.now())).toBeLessThan(5_000);
    const { value } = (await host.invoke('echo', {})) as { value: { context: { logStreamName: string } } };
    const day = new Date(clock.now()).toISOString().slice(0, 10).replaceAll('-', '/');
    expect(value.context.logStreamName.startsWith(day)).toBe(true);
  });
});
