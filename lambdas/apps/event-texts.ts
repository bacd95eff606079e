/**
 * What `docs/asyncapi.yaml` says about the built-in applications' events and rooms. Apart from the definitions, so
 * that no function loads it; complete and free of misspelled names, because the compiler compares.
 */
import type { ApplicationTexts } from './asyncapi.ts';
import type { BuiltIns } from './events.ts';

type TextsOf<A extends { readonly events: { readonly client: object; readonly server: object } }> = {
  readonly summary: string;
  readonly client: { readonly [Name in keyof A['events']['client']]: string };
  readonly server: { readonly [Name in keyof A['events']['server']]: string };
  readonly rooms: ApplicationTexts['rooms'];
};

export const eventTexts: { readonly [A in keyof BuiltIns]: TextsOf<BuiltIns[A]> } = {
  'storefront-chat': {
    summary: 'Customer chat of a shop; messages are published by the backend.',
    client: {
      authenticate: 'Says which customer this is and joins its room; answered by `authenticated`.',
      'join-conversation': 'Joins a conversation.',
      'leave-conversation': 'Leaves a conversation.',
      'typing-start': 'Relayed to the others in the conversation, one try each.',
      'typing-stop': 'Relayed to the others in the conversation, one try each.',
    },
    server: {
      authenticated: 'The customer is known; its room is joined.',
      'typing-start': 'Another customer of the conversation has begun to type.',
      'typing-stop': 'Another customer of the conversation has stopped typing.',
      'new-message': 'A message, published by the backend with `emitToConversation`.',
    },
    rooms: {
      user_: { rest: 'customerId', summary: 'every socket of the customer' },
      conversation_: { rest: 'conversationId', summary: 'who has joined the conversation' },
    },
  },
  'clinic-chat': {
    summary: 'Persisted one-to-one and group chat; the same messages are at `/api/chat/mensajes`.',
    client: {
      'chat:join-room': 'Joins a conversation; acknowledged with who is present.',
      'chat:send-message': 'Stores a message and tells the conversation; acknowledged with the message.',
      'chat:typing': 'Relayed to the others as `chat:user-typing`, one try each.',
      'chat:stop-typing': 'Relayed to the others as `chat:user-stop-typing`, one try each.',
      'chat:mark-read': 'Stores a receipt and tells the conversation.',
      'chat:leave-room': 'Leaves a conversation.',
    },
    server: {
      'chat:message-received': 'A stored message, to the conversation, the sender included.',
      'chat:user-typing': 'To the others in the conversation.',
      'chat:user-stop-typing': 'To the others in the conversation.',
      'chat:message-read': 'A stored receipt, to the conversation.',
      'chat:error': 'An action failed; the acknowledgement, where one was asked for, says the same.',
    },
    rooms: { 'chat:': { rest: 'conversacionId', summary: 'who has joined the conversation' } },
  },
  'order-sync': {
    summary: 'Tells back-office machines to pull; they connect with an API key.',
    client: {
      'sync:orders': 'Answered by `orders:pending`.',
      'sync:confirm': 'The changes are no longer pending; twice is harmless.',
    },
    server: {
      'changes:pending': 'To every client when a change is recorded, and while any is pending.',
      'orders:pending': 'The pending changes whose type begins with `order`, to the one who asked.',
    },
    rooms: {},
  },
  'watch-groups': {
    summary: 'Groups of people who watch series together; users prove who they are with a JWT.',
    client: {
      'join-group':
        'Joins a group; answered by `joined-group`, noticed by the others as `user-joined-group`.',
      'leave-group': 'Leaves a group.',
      'watch-episode': 'Tells the group, the sender included, of an episode that was watched.',
      'group-activity': 'Tells the group, the sender included, of anything else.',
    },
    server: {
      connected: 'The token is good.',
      'joined-group': 'To the one who has joined.',
      'user-joined-group': 'To the other members.',
      'episode-watched': 'To the group, the sender included.',
      'group-activity': 'To the group, the sender included.',
      'series-added': 'Published by the backend with `emitToGroup`.',
      notification: 'Published by the backend with `emitToUser`.',
      error: 'An action failed, or the token is missing or not good.',
    },
    rooms: {
      'group:': { rest: 'groupId', summary: 'who has joined the group' },
      'member:': { rest: 'userId', summary: 'every socket of the authenticated user' },
    },
  },
  marketplace: {
    summary: 'Services, bookings and payments; published by the backend to their users and vendors.',
    client: {
      join: 'Joins the room of a user or of a vendor.',
      ping: 'Acknowledged with the time.',
    },
    server: {
      'service:created': "To the service's vendor, and to its user where it has one.",
      'service:updated': "To the service's vendor, and to its user where it has one.",
      'service:status_changed': "To the service's vendor, and to its user where it has one.",
      'booking:created': "To the booking's user and vendor.",
      'booking:status_changed': "To the booking's user and vendor.",
      'booking:cancelled': "To the booking's user and vendor.",
      'payment:completed': "To the payment's user and vendor.",
      'payment:failed': "To the payment's user and vendor.",
    },
    rooms: {
      'user:': { rest: 'userId', summary: 'every socket that has joined as the user' },
      'vendor:': { rest: 'vendorId', summary: 'every socket that has joined as the vendor' },
    },
  },
};
