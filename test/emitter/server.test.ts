/** The emitter and the server's publisher, with nothing between them but JSON. */
import { describe, expect, test } from 'vitest';
import { Emitter, type Transport, watchGroups } from '../../emitter/index.ts';
import { watchGroups as application } from '../../lambdas/apps/watch-groups.ts';
import type { PublishResult } from '../../lambdas/contract/publish.ts';
import { Client } from '../apps/client.ts';
import { JWT_SECRET, token } from '../apps/tokens.ts';
import { type World, world } from '../support/world.ts';

async function serverAndEmitter() {
  const at = await world({ applications: [application], secrets: { JWT_SECRET } });
  const transport: Transport = {
    send: async (request) =>
      JSON.parse(
        JSON.stringify(await at.publisher.handle(JSON.parse(JSON.stringify(request)))),
      ) as PublishResult,
  };
  return { at, io: new Emitter({ transport }) };
}

async function member(at: World, n: number, sub: string, groupId: number): Promise<Client> {
  const client = await Client.connect(at, n, { auth: { token: await token({ sub, username: sub }) } });
  await client.emit('join-group', { groupId });
  return client;
}

describe('a backend', () => {
  test('reaches a group, a user and everybody but some', async () => {
    const { at, io } = await serverAndEmitter();
    const clients = [
      await member(at, 1, 'ana', 7),
      await member(at, 2, 'bea', 7),
      await member(at, 3, 'ana', 8),
    ];
    const heard = (event: string) => clients.map((client) => client.heard(event).length);
    const groups = watchGroups(io);
    expect(
      await groups.emitToGroup('7', 'series-added', { seriesName: 'Dark', addedBy: 'ana' }),
    ).toMatchObject({
      ok: true,
      audience: 2,
      posted: 2,
      gone: 0,
      failed: 0,
    });
    await groups.emitToUser('ana', 'notification', { message: 'hola' });
    await io.to(['group:7', 'member:ana']).emit('once');
    await io.except('group:8').except(clients[0]!.id).volatile.emit('rest');
    expect(['series-added', 'notification', 'once', 'rest'].map(heard)).toEqual([
      [1, 1, 0],
      [1, 0, 1],
      [1, 1, 1],
      [0, 1, 0],
    ]);
    expect(clients[0]!.heard('series-added')).toEqual([{ seriesName: 'Dark', addedBy: 'ana' }]);
  });

  test('sends bytes that arrive as bytes', async () => {
    const { at, io } = await serverAndEmitter();
    const ana = await member(at, 1, 'ana', 7);
    await io
      .to('group:7')
      .emit('file', { name: 'a', parts: [Buffer.of(0, 255), Uint16Array.of(258)] }, 'end');
    expect(ana.events().at(-1)).toEqual({
      event: 'file',
      args: [{ name: 'a', parts: [Buffer.of(0, 255), Buffer.of(2, 1)] }, 'end'],
    });
  });

  test('sends what only looks like bytes as it is', async () => {
    const { at, io } = await serverAndEmitter();
    const ana = await member(at, 1, 'ana', 7);
    await io.to('group:7').emit('odd', { _placeholder: true, num: 0 });
    expect(ana.heard('odd')).toEqual([{ _placeholder: true, num: 0 }]);
  });

  test('learns who is connected', async () => {
    const { at, io } = await serverAndEmitter();
    const ana = await member(at, 1, 'ana', 7);
    expect(await watchGroups(io).getConnectedClients()).toEqual([
      { socketId: ana.id, userId: 'ana', username: 'ana', groups: [7] },
    ]);
  });

  test('is told which part of a request the server refuses', async () => {
    const { io } = await serverAndEmitter();
    await expect(io.of('/nowhere').emit('said')).rejects.toMatchObject({
      name: 'PublishError',
      code: 'invalid_payload',
      field: 'namespace',
      retryable: false,
    });
    await expect(io.call('nobody', 'x')).rejects.toMatchObject({ code: 'not_found', field: 'app' });
  });
});
