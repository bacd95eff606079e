/** Posts in one way to the sink, and says how fast it was: `[way, port, posts]`. */
import { createHash, hash } from 'node:crypto';
import pMap from 'p-map';
import { ManagementWire } from '../lambdas/adapters/management-wire.ts';
import { PostClient } from '../lambdas/adapters/post-client.ts';
import { encodeSegment } from '../lambdas/adapters/post-signer.ts';
import { systemClock } from '../lambdas/adapters/system.ts';
import { Sha256 } from '../test/support/sha256.ts';
import type { Way } from './post.ts';

type Post = (id: string) => Promise<unknown>;
type Send = (ids: readonly string[]) => Promise<unknown>;

const REGION = 'eu-west-1';
/** As long as those of a role are. */
const CREDENTIALS = {
  accessKeyId: 'ASIAEXAMPLEKEY000000',
  secretAccessKey: 'a'.repeat(40),
  sessionToken: 't'.repeat(800),
};
const FRAME = `42["message",{"text":"${'x'.repeat(95)}"}]`.padEnd(120);
/** Posts at once, as a delivery has them. */
const CONCURRENCY = 64;
const WARM_UP = 4_000;
const POOL = { maxSockets: 128, deadlineMs: 30_000, idleMs: 30_000 };

const [way = 'wire', port = '0', posts = '0'] = process.argv.slice(2);
const origin = `http://127.0.0.1:${port}`;

const bounded =
  (post: Post): Send =>
  (ids) =>
    pMap(ids, post, { concurrency: CONCURRENCY });

function wire(): Send {
  const silent = () => {};
  const ours = new ManagementWire({
    endpoint: `${origin}/prod`,
    credentials: async () => CREDENTIALS,
    region: async () => REGION,
    clock: systemClock,
    log: { debug: silent, info: silent, warn: silent, error: silent },
  });
  return bounded(async (id) => {
    const outcome = await ours.post(id, FRAME);
    if (outcome !== 'ok') throw new Error(`a post was ${outcome}`);
  });
}

async function sdk(isTuned: boolean): Promise<Send> {
  const { ApiGatewayManagementApiClient, PostToConnectionCommand } = await import(
    '@aws-sdk/client-apigatewaymanagementapi'
  );
  // It warns of what is measured here: that requests wait for one of its 50 connections.
  console.warn = () => {};
  const client = new ApiGatewayManagementApiClient({
    endpoint: `${origin}/prod`,
    region: REGION,
    credentials: CREDENTIALS,
    ...(isTuned
      ? { maxAttempts: 1, requestHandler: { httpAgent: { keepAlive: true, maxSockets: POOL.maxSockets } } }
      : {}),
  });
  const post: Post = (ConnectionId) =>
    client.send(new PostToConnectionCommand({ ConnectionId, Data: FRAME }));
  return isTuned ? bounded(post) : (ids) => Promise.all(ids.map(post));
}

/** Over the wire's own HTTP client, with other headers. */
function pooled(headersOf: (path: string, body: Buffer) => Promise<readonly string[]>): Send {
  const client = new PostClient(new URL(origin), POOL);
  const body = Buffer.from(FRAME);
  return bounded(async (id) => {
    const path = `/prod/%40connections/${encodeSegment(id)}`;
    const { status } = await client.post(path, await headersOf(path, body), body);
    if (status !== 200) throw new Error(`answered ${status}`);
  });
}

function unsigned(): Send {
  const host = new URL(origin).host;
  return pooled(async (_, body) => ['host', host, 'content-length', String(body.length)]);
}

async function smithy(): Promise<Send> {
  const { SignatureV4 } = await import('@smithy/signature-v4');
  const signer = new SignatureV4({
    service: 'execute-api',
    region: REGION,
    credentials: CREDENTIALS,
    sha256: Sha256,
  });
  const { host, hostname } = new URL(origin);
  const payload = hash('sha256', Buffer.from(FRAME));
  return pooled(async (path, body) => {
    const { headers } = await signer.sign({
      method: 'POST',
      protocol: 'http:',
      hostname,
      path,
      query: {},
      headers: { host, 'content-type': 'application/octet-stream', 'x-amz-content-sha256': payload },
      body,
    });
    return [...Object.entries(headers).flat(), 'content-length', String(body.length)];
  });
}

const WAYS: Readonly<Record<Way, () => Send | Promise<Send>>> = {
  wire,
  sdk: () => sdk(false),
  tuned: () => sdk(true),
  smithy,
  unsigned,
};

/** 11 well-spread bytes each, as connection ids are. */
function ids(count: number): string[] {
  return Array.from({ length: count }, (_, n) => {
    const bytes = createHash('sha256').update(String(n)).digest().subarray(0, 11);
    return `${bytes.toString('base64url')}=`;
  });
}

const send = await WAYS[way as Way]();
await send(ids(WARM_UP));
const recipients = ids(Number(posts));
const work = process.cpuUsage();
const begin = performance.now();
await send(recipients);
const seconds = (performance.now() - begin) / 1_000;
const { user, system } = process.cpuUsage(work);
process.send?.({
  perSecond: recipients.length / seconds,
  cpuMicroseconds: (user + system) / recipients.length,
});
process.once('disconnect', () => process.exit());
