import { expect, test } from 'vitest';
import { storefrontChat } from '../../lambdas/apps/storefront-chat.ts';
import { ENGINE_ERRORS } from '../../lambdas/bus/handshake.ts';
import { leakedByWorlds, Secrecy } from './secrecy.ts';
import { heard, JWT_SECRET, startTestStack, token } from './stack.ts';
import { connected, joinedNamespace, world } from './world.ts';

const LEAKY = ['a line that holds a token'];

test('a line that holds a secret, a token or a part of one is found', async () => {
  const secrecy = new Secrecy();
  const mine = await token({ sub: 'a person' });
  const others = await token({ sub: 'somebody else' });
  const [, claims, signature] = mine.split('.');
  secrecy.add(mine);
  secrecy.add('the first key of two, the second key of two');
  const leaky = [mine, `x${claims}y`, `"${signature}"`, others, `{"auth":"the second key of two"}`];
  for (const found of [secrecy.logged, secrecy.kept])
    expect(found.call(secrecy, [...leaky, 'nothing', 'the second key', ''])).toEqual(leaky);
});

test('what the world of a unit test logs is looked through for what its clients showed and were given', async () => {
  const at = await world({ applications: [storefrontChat], secrets: { JWT_SECRET } });
  const said = async (text: string, because?: unknown) => {
    at.log.info('something', { text, ...(because === undefined ? {} : { error: because }) });
    return leakedByWorlds().length;
  };
  const mine = await token({ sub: 'a person' });
  const id = await connected(at, 1);
  const socketId = await joinedNamespace(at, id, '/', { token: mine });
  const pid = /"pid":"([^"]+)"/.exec(at.wire.framesTo(id).join())![1]!;
  const poll = (query: Record<string, string>, headers = {}) =>
    at.polling.handle({
      method: 'GET',
      headers,
      query: { EIO: '4', transport: 'polling', ...query },
      body: undefined,
      address: '192.0.2.7',
      at: at.clock.now(),
    });
  const { body } = await poll({}, { authorization: 'Bearer what a machine has as its key' });
  const { sid } = JSON.parse(body.slice(1)) as { sid: string };
  expect(leakedByWorlds()).toEqual([]);
  const [, claims, signature] = mine.split('.');
  const secrets = [pid, pid.slice(20), `x${pid.slice(20)}y`, sid, mine, claims, signature, JWT_SECRET];
  for (const secret of [...secrets, 'what a machine has as its key']) expect(await said(`${secret}`)).toBe(1);
  expect(await said('nothing', new Error(`of a cause: ${sid}`))).toBe(1);
  expect(await said('nothing', Object.assign(new Error('of a row'), { Item: { secret: sid } }))).toBe(0);
  expect(await said(`${id} ${socketId} ${ENGINE_ERRORS.unknownSid.message}`)).toBe(0);
});

test('a test stack whose functions wrote a secret cannot be closed in silence', async () => {
  const bus = await startTestStack();
  bus.logs.push(`{"message":"verified with ${JWT_SECRET}"}`);
  await expect(bus.close()).rejects.toThrow('a secret was logged or kept');
});

test('a test stack looks for what its clients showed and were given, in logs and in rows', async () => {
  for (const place of ['log', 'row'] as const) {
    const bus = await startTestStack();
    const mine = await token({ sub: 'kept' });
    const client = bus.client({ auth: { token: mine } });
    await heard(client, 'connected');
    if (place === 'log') bus.logs.push(`${LEAKY[0]} ${mine.split('.')[2]}`);
    else await keep(bus, mine);
    await expect(bus.close()).rejects.toThrow('a secret was logged or kept');
  }
});

async function keep(bus: Awaited<ReturnType<typeof startTestStack>>, text: string): Promise<void> {
  const [table] = bus.stack.deployment.tables;
  const key = { B: Buffer.from('x').toString('base64') };
  await bus.stack.dynamodb!.handle('PutItem', {
    TableName: table!.name,
    Item: { p: key, s: key, text: { S: `${LEAKY[0]} ${text}` } },
  });
}
