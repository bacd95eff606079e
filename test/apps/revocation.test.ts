/** A grant that is revoked while its holder joins opens nothing any more, whichever of the two is quicker. */
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { expect, test } from 'vitest';
import { clinicChat } from '../../lambdas/apps/clinic-chat.ts';
import { storefrontChat } from '../../lambdas/apps/storefront-chat.ts';
import type { Application } from '../../lambdas/bus/application.ts';
import { world } from '../support/world.ts';
import { Client } from './client.ts';
import { JWT_SECRET, token } from './tokens.ts';

const CHATS: [string, Application, string, string, object][] = [
  ['storefront-chat', storefrontChat, 'conversation_7', 'join-conversation', { conversationId: 7 }],
  ['clinic-chat', clinicChat, 'chat:7', 'chat:join-room', { conversacionId: 7, userId: 1 }],
];

test.each(CHATS)(
  '%s: whoever joins while the grant is revoked is no member when both are done',
  async (_name, application, room, event, payload) => {
    const at = await world({ applications: [application], secrets: { JWT_SECRET } });
    Object.assign(at.bus.config, { identityMode: 'token' });
    const ana = await Client.connect(at, 1, { auth: { token: await token({ sub: '1' }) } });
    await at.publisher.handle({ op: 'grant', identity: 1, room });
    const { get } = at.bus.rows;
    let looks = 0;
    at.bus.rows.get = async (...key) => {
      const found = await get.apply(at.bus.rows, key);
      looks += 1;
      // Found open, and revoked before it is joined.
      if (looks === 1) await at.publisher.handle({ op: 'revoke', identity: 1, room });
      return found;
    };
    expect(await ana.ask(event, payload)).toMatchObject({ ok: false, error: { code: 'forbidden' } });
    expect(await at.publisher.handle({ op: 'emit', rooms: [room], event: 'x' })).toMatchObject({
      audience: 0,
    });
    at.bus.rows.get = get;
    await at.publisher.handle({ op: 'grant', identity: 1, room });
    expect(await ana.ask(event, payload)).toMatchObject({ ok: true });
  },
);

/** What a socket may send back to back, which API Gateway hands to two instances. */
const PAIRS: [string, readonly [string, string]][] = [
  ['joins while it becomes somebody else', ['join', 'as 8']],
  ['becomes somebody else while it joins', ['as 8', 'join']],
  ['becomes two others at once', ['as 8', 'as 9']],
];

test.each(PAIRS)(
  'storefront-chat: whoever %s keeps no room of who it was, so that a revoke misses nobody',
  async (_name, [one, other]) => {
    const tokens = await Promise.all(['7', '8', '9'].map((sub) => token({ sub })));
    let isWithin = true;
    // The other event is handled from beginning to end before each call to the table that the one makes.
    for (let step = 1; isWithin; step += 1) {
      let calls = 0;
      let between: (() => Promise<unknown>) | undefined;
      const client = (real: DynamoDBDocumentClient) => ({
        send: async (command: Parameters<DynamoDBDocumentClient['send']>[0]) => {
          if (between !== undefined) calls += 1;
          if (calls === step) {
            const act = between;
            between = undefined;
            calls += 1;
            await act?.();
          }
          return real.send(command);
        },
      });
      const at = await world({
        applications: [storefrontChat],
        secrets: { JWT_SECRET },
        client: (real) => client(real) as unknown as DynamoDBDocumentClient,
      });
      Object.assign(at.bus.config, { identityMode: 'token' });
      const ana = await Client.connect(at, 1);
      const room = 'conversation_5';
      await at.publisher.handle({ op: 'grant', identity: 7, room });
      const authenticate = (id: number) => ana.ask('authenticate', { customerId: id, token: tokens[id - 7] });
      const events: Record<string, () => Promise<unknown>> = {
        join: () => ana.ask('join-conversation', 5),
        'as 8': () => authenticate(8),
        'as 9': () => authenticate(9),
      };
      expect(await authenticate(7)).toMatchObject({ ok: true });
      if (one !== 'join' && other !== 'join') await events.join?.();
      between = events[other];
      await events[one]?.();
      isWithin = between === undefined;
      await events[isWithin ? 'none' : other]?.();
      const { rooms, data } = (await at.store.socket({ namespace: '/', id: ana.id }))!;
      expect([step, ...Object.keys(rooms)]).toEqual([step, `user_${data['storefront-chat:customerId']}`]);
      await at.publisher.handle({ op: 'revoke', identity: 7, room });
      expect(await at.publisher.handle({ op: 'emit', rooms: [room], event: 'x' })).toMatchObject({
        audience: 0,
      });
      expect(step).toBeLessThan(60);
    }
  },
);
