/** A grant that is revoked while its holder joins opens nothing any more, whichever of the two is quicker. */
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
