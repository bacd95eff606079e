import { afterEach, describe, expect, test } from 'vitest';
import { FaultEngine } from '../../../local/faults/engine.ts';
import { type FaultRules, parseFaultRules } from '../../../local/faults/rules.ts';
import type { GatewayFaults } from '../../../local/gateway/gateway-faults.ts';
import { ManualClock, TestGateway } from './support.ts';

let gateway: TestGateway | undefined;

afterEach(async () => {
  await gateway?.stop();
  gateway = undefined;
});

function faultsOf(rules: FaultRules, clock: ManualClock): { engine: FaultEngine; faults: GatewayFaults } {
  const engine = new FaultEngine({ seed: 1, rules: parseFaultRules(rules), clock });
  const faults: GatewayFaults = {
    get postableDelayMs() {
      return engine.postableDelayMs;
    },
    call: (method) => engine.call(`connections.${method}`),
    connection: () => engine.connection(),
    disconnect: () => engine.disconnect(),
  };
  return { engine, faults };
}

async function opened(rules: FaultRules) {
  const clock = new ManualClock();
  const { engine, faults } = faultsOf(rules, clock);
  const gw = await TestGateway.start({ clock, faults });
  gateway = gw;
  const client = await gw.open();
  const id = (await gw.connects.next()).requestContext.connectionId;
  const path = `/@connections/${encodeURIComponent(id)}`;
  const call = (method: string, body?: string) => gw.call(method, path, body, clock.now());
  return { gw, client, clock, engine, call, id };
}

const POST = (rules: NonNullable<FaultRules['calls']>['connections.POST']): FaultRules => ({
  calls: { 'connections.POST': rules },
});

describe('a post', () => {
  test.each([
    ['gone', 410, 'GoneException'],
    ['throttled', 429, 'LimitExceededException'],
    ['error', 500, 'InternalServerException'],
  ] as const)('is refused before it has an effect: %s', async (kind, status, type) => {
    const { call, client, engine } = await opened(POST({ [kind]: 1 }));
    const answer = await call('POST', 'x');
    expect(answer).toMatchObject({ status, headers: { 'x-amzn-errortype': type } });
    expect(engine.count(kind, 'connections.POST')).toBe(1);
    engine.clear();
    expect(await call('POST', 'y')).toMatchObject({ status: 200 });
    expect(await client.messages.next()).toBe('y');
  });

  test('arrives though its caller is told that it failed, or is told nothing', async () => {
    const { call, client, engine } = await opened(POST({ lost: 1 }));
    const answers = new Set<unknown>();
    for (let index = 0; index < 12; index += 1) {
      answers.add(
        await call('POST', String(index)).then(
          ({ status }) => status,
          (error) => error.code,
        ),
      );
      expect(await client.messages.next()).toBe(String(index));
    }
    expect(answers).toEqual(new Set([500, 'ECONNRESET']));
    expect(engine.count('lost')).toBe(12);
  });

  test.each([
    ['before', []],
    ['after', ['x']],
  ] as const)('hangs for its time and is then cut, %s its effect', async (effect, arrived) => {
    const { call, client, clock, engine } = await opened(
      POST({ timeout: { probability: 1, ms: 5_000, effect } }),
    );
    const cut = expect(call('POST', 'x')).rejects.toMatchObject({ code: 'ECONNRESET' });
    await expect.poll(() => engine.count('timeout')).toBe(1);
    clock.advance(5_000);
    await cut;
    engine.clear();
    await call('POST', 'end');
    for (const message of [...arrived, 'end']) expect(await client.messages.next()).toBe(message);
  });

  test('arrives late', async () => {
    const { call, client, clock, engine } = await opened(POST({ latency: { fixed: 300 } }));
    const answer = call('POST', 'x');
    await expect.poll(() => engine.count('latency')).toBe(1);
    clock.advance(299);
    expect(client.messages.size).toBe(0);
    clock.advance(1);
    expect(await answer).toMatchObject({ status: 200 });
    expect(await client.messages.next()).toBe('x');
  });

  test('that is unsigned is refused before anything can go wrong with it', async () => {
    const { gw, id, engine } = await opened(POST({ gone: 1 }));
    const answer = await gw.http('POST', `/prod/@connections/${encodeURIComponent(id)}`, {}, 'x');
    expect(answer.status).toBe(403);
    expect(engine.count('gone')).toBe(0);
  });

  test('is not possible for a while after the 101', async () => {
    const { call, clock } = await opened({ postableDelayMs: 50 });
    expect(await call('POST', 'x')).toMatchObject({ status: 410 });
    clock.advance(50);
    expect(await call('POST', 'x')).toMatchObject({ status: 200 });
  });
});

test('deleting a connection can fail by itself', async () => {
  const { call } = await opened({ calls: { 'connections.DELETE': { error: 1 } } });
  expect(await call('DELETE')).toMatchObject({ status: 500 });
  expect(await call('GET')).toMatchObject({ status: 200 });
});

describe('a connection', () => {
  test('that is half-open takes posts and delivers nothing, either way, until the idle timeout finds it', async () => {
    const { gw, call, client, clock, engine } = await opened({
      connections: { halfOpen: 1, halfOpenAfterMs: [1_000, 1_000] },
    });
    await call('POST', 'before');
    expect(await client.messages.next()).toBe('before');
    clock.advance(1_000);
    expect(await call('POST', 'x')).toMatchObject({ status: 200 });
    client.ws.send('unheard');
    client.ws.close();
    await client.closed;
    expect(await call('POST', 'x')).toMatchObject({ status: 200 });
    expect([gw.messages.size, gw.disconnects.size, client.messages.size]).toEqual([0, 0, 0]);
    clock.advance(10 * 60_000);
    expect((await gw.disconnects.next()).requestContext.disconnectStatusCode).toBe(1001);
    expect(await call('POST', 'x')).toMatchObject({ status: 410 });
    expect(engine.count('half-open')).toBe(1);
  });

  test('whose client reads slowly answers posts with 429, and goes on sending', async () => {
    const { gw, call, client, clock } = await opened({ connections: { slow: 1, slowAfterMs: [500, 500] } });
    expect(await call('POST', 'x')).toMatchObject({ status: 200 });
    clock.advance(500);
    expect(await call('POST', 'x')).toMatchObject({ status: 429 });
    client.ws.send('still here');
    expect((await gw.messages.next()).body).toBe('still here');
  });
});

describe('$disconnect', () => {
  test('can be lost', async () => {
    const { gw, client, engine } = await opened({ disconnect: { lost: 1 } });
    client.ws.close();
    await expect.poll(() => engine.count('disconnect-lost')).toBe(1);
    expect(gw.disconnects.size).toBe(0);
  });

  test('can come twice', async () => {
    const { gw, client, id } = await opened({ disconnect: { doubled: 1 } });
    client.ws.close();
    const both = [await gw.disconnects.next(), await gw.disconnects.next()];
    expect(both.map(({ requestContext }) => requestContext.connectionId)).toEqual([id, id]);
  });

  test('can be late, at the latest when the gateway ends', async () => {
    const { gw, client, clock, engine } = await opened({
      disconnect: { late: { probability: 1, ms: [400, 400] } },
    });
    const other = await gw.open();
    client.ws.close();
    await expect.poll(() => engine.count('disconnect-late')).toBe(1);
    clock.advance(399);
    expect(gw.disconnects.size).toBe(0);
    clock.advance(1);
    await gw.disconnects.next();
    other.ws.close();
    await expect.poll(() => engine.count('disconnect-late')).toBe(2);
    await gw.api.closeAll();
    expect(gw.disconnects.size).toBe(1);
  });
});
