import { expect, test } from 'vitest';
import { Secrecy } from './secrecy.ts';
import { heard, JWT_SECRET, startTestStack, token } from './stack.ts';

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
