import { hash } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  authorization,
  encodeSegment,
  PostSigner,
  type SigningCredentials,
} from '../../lambdas/adapters/post-signer.ts';
import { Sha256 } from '../support/sha256.ts';

const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
const connectionIds = fc
  .string({ unit: fc.constantFrom(...letters), minLength: 15, maxLength: 15 })
  .map((text) => `${text}=`);
/** Any text that is one segment of a path. */
const segments = fc.string({ unit: 'binary', minLength: 1 }).filter((text) => text !== '.' && text !== '..');
const words = fc.string({ unit: fc.constantFrom(...letters, '/', '+', '='), minLength: 1, maxLength: 60 });
const credentials: fc.Arbitrary<SigningCredentials> = fc.oneof(
  fc.record({ accessKeyId: words, secretAccessKey: words }),
  fc.record({ accessKeyId: words, secretAccessKey: words, sessionToken: words }),
);
const posts = fc.record({
  id: fc.oneof(connectionIds, segments),
  frame: fc.oneof(fc.string({ unit: 'grapheme' }), fc.constant('42["añ€𝄞"]'), fc.constant('')),
  credentials,
  base: fc.constantFrom<string>('', '/prod', '/a/b', '/$default', '/v1.0~x'),
  host: fc.constantFrom<string>('a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com', '127.0.0.1:3000'),
  region: fc.constantFrom<string>('eu-west-1', 'us-gov-west-1'),
  now: fc.date({ min: new Date(0), max: new Date('2100-01-01'), noInvalidDate: true }),
});
type Post = typeof posts extends fc.Arbitrary<infer T> ? T : never;

const pathOf = ({ base, id }: Post) => `${base.replace('$', '%24')}/%40connections/${encodeSegment(id)}`;

function ours(signer: PostSigner, post: Post): Record<string, string> {
  const stamp = signer.stamp(post.credentials, post.region, post.now.getTime());
  const headers: Record<string, string> = {};
  for (let n = 0; n < stamp.headers.length; n += 2) headers[stamp.headers[n]!] = stamp.headers[n + 1]!;
  return {
    ...headers,
    authorization: authorization(stamp, pathOf(post), hash('sha256', Buffer.from(post.frame))),
  };
}

async function theirs(post: Post): Promise<Record<string, string>> {
  const signer = new SignatureV4({
    service: 'execute-api',
    region: post.region,
    credentials: post.credentials,
    sha256: Sha256,
    // A header of its own that the service does not need: it knows the body.
    applyChecksum: false,
  });
  const { headers } = await signer.sign(
    {
      method: 'POST',
      protocol: 'https:',
      hostname: post.host,
      path: pathOf(post),
      query: {},
      headers: { host: post.host, 'content-type': 'application/octet-stream' },
      body: post.frame,
    },
    { signingDate: post.now },
  );
  return headers;
}

describe('the signature of a post', () => {
  test('is the one that the maintained signer makes', async () => {
    await fc.assert(
      fc.asyncProperty(posts, async (post) => {
        expect(ours(new PostSigner(post.host), post)).toEqual(await theirs(post));
      }),
      { numRuns: 300 },
    );
  });

  test('stays right while keys, regions and days change under one signer', async () => {
    const host = 'x.example';
    const keys = fc.constantFrom<SigningCredentials>(
      { accessKeyId: 'a', secretAccessKey: 'one' },
      { accessKeyId: 'a', secretAccessKey: 'two' },
      { accessKeyId: 'b', secretAccessKey: 'one', sessionToken: 't' },
    );
    const days = fc.integer({ min: 0, max: 2 }).map((day) => new Date(Date.UTC(2026, 0, 1 + day)));
    const few = fc.record({ credentials: keys, now: days, region: fc.constantFrom('r1', 'r2') });
    await fc.assert(
      fc.asyncProperty(fc.array(few, { minLength: 2, maxLength: 8 }), async (changes) => {
        const signer = new PostSigner(host);
        for (const change of changes) {
          const post = { id: 'L0SM9cOFvHcCIhw=', frame: '2', base: '/prod', host, ...change };
          expect(ours(signer, post)).toEqual(await theirs(post));
        }
      }),
      { numRuns: 50 },
    );
  });

  test('covers one connection and one frame', () => {
    const signer = new PostSigner('x.example');
    const stamp = signer.stamp({ accessKeyId: 'a', secretAccessKey: 's' }, 'eu-west-1', 0);
    const signatures = [
      authorization(stamp, '/prod/%40connections/a%3D', hash('sha256', 'x')),
      authorization(stamp, '/prod/%40connections/b%3D', hash('sha256', 'x')),
      authorization(stamp, '/prod/%40connections/a%3D', hash('sha256', 'y')),
    ];
    expect(new Set(signatures).size).toBe(3);
  });
});

test('a connection id is encoded as a path segment and comes back whole', () => {
  expect(encodeSegment('R0oXAdf-_0kwCH6w=')).toBe('R0oXAdf-_0kwCH6w%3D');
  fc.assert(
    fc.property(segments, (text) => {
      expect(encodeSegment(text)).toMatch(/^(?:[\w.~-]|%[0-9A-F]{2})+$/);
      expect(decodeURIComponent(encodeSegment(text))).toBe(text);
    }),
  );
});
