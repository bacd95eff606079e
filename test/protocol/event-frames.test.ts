import { expect, test } from 'vitest';
import { readEventFrames } from '../../lambdas/protocol/event-frames.ts';
import { PacketType, socketFrames } from '../../lambdas/protocol/socket-packet.ts';

const framesOf = (namespace: string, ...data: unknown[]) =>
  socketFrames({ type: PacketType.EVENT, namespace, data });

test.each(['/', '/n', '/a[1],2', `/${'['.repeat(40)}`])(
  'an event of the namespace %j is read as it was encoded',
  (namespace) => {
    const args = [{ text: ']["' }, null, '2', [1]];
    expect(readEventFrames(namespace, framesOf(namespace, 'said', ...args))).toEqual({
      event: 'said',
      args,
      attachments: [],
    });
    expect(readEventFrames(namespace, framesOf(namespace, 'said'))).toMatchObject({ args: [] });
  },
);

test.each(['/', '/n[0]'])('binary values stay apart from their places on %s', (namespace) => {
  const bytes = Array.from({ length: 10 }, (_, n) => Buffer.from([n]));
  expect(readEventFrames(namespace, framesOf(namespace, 'file', ...bytes))).toEqual({
    event: 'file',
    args: bytes.map((_, num) => ({ _placeholder: true, num })),
    attachments: bytes.map((each) => each.toString('base64')),
  });
});
