import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { watchGroupsOnly } from '../support/assembly.ts';
import { heard, recorded, startTestStack, type TestStack, token } from '../support/stack.ts';

const ISO = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$/;

let bus: TestStack;
beforeAll(async () => {
  bus = await startTestStack({ assembly: watchGroupsOnly() });
});
afterAll(() => bus.close());

async function member(sub: string, username: string) {
  const socket = bus.client({ auth: { token: await token({ sub, username }) } });
  return { socket, connected: await heard(socket, 'connected') };
}

describe('a stock client on the local stack', () => {
  test('is greeted, joins, is heard joining, and both hear an episode and a publish', async () => {
    const ana = await member('1', 'ana');
    expect(ana.connected).toEqual({ message: 'Conectado exitosamente', user: { id: 1, username: 'ana' } });
    const joined = heard(ana.socket, 'joined-group');
    expect(await ana.socket.emitWithAck('join-group', { groupId: 123 })).toEqual({ ok: true, groupId: 123 });
    expect(await joined).toEqual({ groupId: 123, message: 'Te has unido al grupo exitosamente' });

    const bea = await member('bea', 'bea');
    const noticed = heard(ana.socket, 'user-joined-group');
    await bea.socket.emitWithAck('join-group', { groupId: '123' });
    expect(await noticed).toEqual({
      userId: 'bea',
      username: 'bea',
      groupId: '123',
      timestamp: expect.stringMatching(ISO),
    });

    const episodes = [ana, bea].map(({ socket }) => heard(socket, 'episode-watched'));
    bea.socket.emit('watch-episode', { groupId: 123, seriesId: 9, episodeId: 's1e1' });
    for (const episode of await Promise.all(episodes)) {
      expect(episode).toMatchObject({ userId: 'bea', groupId: 123, seriesId: 9, episodeId: 's1e1' });
    }

    const news = [ana, bea].map(({ socket }) => heard(socket, 'series-added'));
    const request = {
      op: 'emit',
      rooms: ['group:123'],
      event: 'series-added',
      args: [{ seriesName: 'Dark', addedBy: 'ana' }],
    };
    const answer = await bus.stack.invoke('publish', request);
    expect(answer).toMatchObject({ value: { ok: true, audience: 2, posted: 2, gone: 0, failed: 0 } });
    for (const each of await Promise.all(news)) expect(each).toEqual({ seriesName: 'Dark', addedBy: 'ana' });
  });

  test('hears a group no more after it has left, and nobody counts it after it has gone', async () => {
    const ana = await member('1', 'ana');
    const bea = await member('2', 'bea');
    for (const { socket } of [ana, bea]) await socket.emitWithAck('join-group', { groupId: 'leaving' });
    const activity = () =>
      bus.stack.invoke('publish', emit('group:leaving', 'group-activity', { type: 'x' }));
    expect(await activity()).toMatchObject({ value: { audience: 2, posted: 2 } });

    const ears = recorded(ana.socket);
    expect(await ana.socket.emitWithAck('leave-group', { groupId: 'leaving' })).toEqual({
      ok: true,
      groupId: 'leaving',
    });
    expect(await activity()).toMatchObject({ value: { audience: 1, posted: 1 } });
    bea.socket.disconnect();
    await expect
      .poll(async () => (await activity()) as object)
      .toMatchObject({ value: { audience: 0, posted: 0 } });
    // An answer after the publishes proves that nothing else is on its way.
    await ana.socket.emitWithAck('leave-group', { groupId: 'leaving' });
    expect(ears).toEqual([]);
  });

  test('hears what is published to its user, on every socket of that user and on no other', async () => {
    const phone = await member('7', 'ana');
    const laptop = await member('7', 'ana');
    const other = await member('77', 'bea');
    const ears = recorded(other.socket);
    const notes = [phone, laptop].map(({ socket }) => heard(socket, 'notification'));
    await bus.stack.invoke('publish', emit('member:7', 'notification', { message: 'hola' }));
    for (const note of await Promise.all(notes)) expect(note).toEqual({ message: 'hola' });
    await other.socket.emitWithAck('leave-group', { groupId: 1 });
    expect(ears).toEqual([]);
  });

  test('is reached by its own id, and left out where it is excepted', async () => {
    const ana = await member('1', 'ana');
    const bea = await member('2', 'bea');
    const ears = recorded(bea.socket);
    const note = heard(ana.socket, 'notification');
    const id = ana.socket.id ?? '';
    await bus.stack.invoke('publish', emit(id, 'notification', { message: 'solo tú' }));
    expect(await note).toEqual({ message: 'solo tú' });
    const everybodyElse = {
      ...emit(id, 'notification', { message: 'todos' }),
      rooms: [],
      except: [bea.socket.id],
    };
    const heardByAna = heard(ana.socket, 'notification');
    await bus.stack.invoke('publish', everybodyElse);
    expect(await heardByAna).toEqual({ message: 'todos' });
    await bea.socket.emitWithAck('leave-group', { groupId: 1 });
    expect(ears).toEqual([]);
  });

  test('receives binary values as binary', async () => {
    const ana = await member('1', 'ana');
    const note = heard<{ bytes: Buffer }>(ana.socket, 'notification');
    await bus.stack.invoke('publish', {
      ...emit(ana.socket.id ?? '', 'notification', { bytes: { _placeholder: true, num: 0 } }),
      attachments: [Buffer.from([0, 1, 254, 255]).toString('base64')],
    });
    expect([...(await note).bytes]).toEqual([0, 1, 254, 255]);
  });

  test('appears among the connected clients with its groups, and no more once it is gone', async () => {
    const ana = await member('500', 'ana');
    await ana.socket.emitWithAck('join-group', { groupId: 5 });
    await ana.socket.emitWithAck('join-group', { groupId: 'x' });
    const clients = async () => {
      const answer = await bus.stack.invoke('publish', {
        op: 'app',
        app: 'watch-groups',
        call: 'getConnectedClients',
      });
      const { value } = answer as { value: { result: { userId: unknown; groups: unknown[] }[] } };
      return value.result.filter(({ userId }) => userId === 500);
    };
    const [mine] = await clients();
    expect({ ...mine, groups: [...(mine?.groups ?? [])].sort() }).toEqual({
      socketId: ana.socket.id,
      userId: 500,
      username: 'ana',
      groups: [5, 'x'],
    });
    ana.socket.disconnect();
    await expect.poll(clients).toEqual([]);
  });

  test('joins and speaks in one breath', async () => {
    const ana = await member('1', 'ana');
    const episode = heard(ana.socket, 'episode-watched');
    ana.socket.emit('join-group', { groupId: 'breath' });
    ana.socket.emit('watch-episode', { groupId: 'breath', seriesId: 1, episodeId: 2 });
    expect(await episode).toMatchObject({ groupId: 'breath' });
  });

  test('that joins and leaves in one breath is out in the end', async () => {
    const ana = await member('1', 'ana');
    for (let round = 0; round < 3; round += 1) {
      ana.socket.emit('join-group', { groupId: 'brief' });
      await ana.socket.emitWithAck('leave-group', { groupId: 'brief' });
    }
    const answer = await bus.stack.invoke('publish', emit('group:brief', 'group-activity', {}));
    expect(answer).toMatchObject({ value: { audience: 0 } });
  });

  test('shows a token that no log line repeats', async () => {
    const secret = await token({ sub: '1', username: 'ana' });
    const socket = bus.client({
      auth: { token: secret },
      extraHeaders: { Authorization: `Bearer ${secret}` },
    });
    await heard(socket, 'connected');
    expect(bus.logs.filter((line) => line.includes(secret))).toEqual([]);
  });
});

function emit(room: string, event: string, payload: unknown): Record<string, unknown> {
  return { op: 'emit', rooms: [room], event, args: [payload] };
}
