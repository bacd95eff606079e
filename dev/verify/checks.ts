/** The points of docs/verify-on-aws.md that a program can see from outside; the page says which is which. */
import { setTimeout as pause } from 'node:timers/promises';
import { type Check, CheckFailedError, CheckSkippedError, type Target } from './check.ts';
import { ask, askOverIpv6, pollingSession, unexpected, upgrade } from './requests.ts';
import { acknowledged, connected, upgraded, withClient } from './stock-client.ts';

/** Nobody's: the domain is reserved (RFC 2606). */
const FOREIGN = 'https://attacker.invalid';
const HELD_SECONDS = { least: 0.8, most: 29 };

export const CHECKS: readonly Check[] = [
  {
    name: 'polling-handshake',
    run: async (target) => {
      await pollingSession(engine(target.url, target, 'polling'));
      return 'an open packet';
    },
  },
  { name: 'upgrade', run: (target) => opens(engine(target.url, target, 'websocket')) },
  {
    name: 'default-options',
    run: async (target) => {
      const began = performance.now();
      await withClient(target, {}, upgraded);
      return `began by polling, on a WebSocket after ${((performance.now() - began) / 1_000).toFixed(1)} s`;
    },
  },
  {
    name: 'acknowledgement',
    run: (target) =>
      withClient(target, { transports: ['websocket'] }, async (socket) => {
        const began = performance.now();
        const answer = await acknowledged(socket, target.event, target.data);
        if (isRefusal(answer)) throw new CheckFailedError(`${target.event}: ${JSON.stringify(answer)}`);
        return `${target.event} was answered in ${(performance.now() - began).toFixed(0)} ms`;
      }),
  },
  { name: 'recovery', run: recovery },
  { name: 'status', run: status },
  { name: 'foreign-origin', run: foreignOrigin },
  {
    name: 'repeated-parameter',
    run: async (target) => {
      const answer = await upgrade(`${engine(target.url, target, 'websocket')}&transport=polling`);
      if (answer.status !== 400) throw unexpected(answer, '400');
      return '400';
    },
  },
  {
    name: 'unsigned-publish',
    run: async ({ url }) => {
      const body = JSON.stringify({ op: 'emit', event: 'verify' });
      const headers = { 'content-type': 'application/json' };
      const answer = await ask(`${url}/publish`, { method: 'POST', headers, body });
      if (answer.status !== 403) throw unexpected(answer, '403');
      return '403';
    },
  },
  { name: 'held-poll', run: heldPoll },
  {
    name: 'http-api',
    run: async (target) => {
      const url = known(target.httpUrl, 'http');
      await pollingSession(engine(url, target, 'polling'));
      return 'an open packet, with a slash at the end of the path';
    },
  },
  { name: 'websocket-api', run: webSocketApi },
  {
    name: 'ipv6',
    run: async (target) => {
      const answer = await askOverIpv6(engine(target.url, target, 'polling'));
      if (answer.status !== 200) throw unexpected(answer, 'an open packet');
      return 'an open packet over IPv6';
    },
  },
  { name: 'silence', run: silence },
];

function engine(url: string, { path }: Target, transport: string): string {
  return `${url}${path}?EIO=4&transport=${transport}`;
}

async function opens(url: string): Promise<string> {
  const answer = await upgrade(url);
  if (answer.status !== 101 || !answer.body.startsWith('0{'))
    throw unexpected(answer, '101 and an open packet');
  return '101 and an open packet';
}

async function recovery(target: Target): Promise<string> {
  return withClient(target, {}, async (socket) => {
    await upgraded(socket);
    const { id } = socket;
    const back = new Promise<void>((resolve) => socket.once('disconnect', () => resolve())).then(() =>
      connected(socket),
    );
    socket.io.engine.close();
    await back;
    if (!socket.recovered || socket.id !== id)
      throw new CheckFailedError('a client that was cut came back to another session');
    return 'a client that was cut came back to its session';
  });
}

async function status({ url }: Target): Promise<string> {
  const answer = await ask(`${url}/socket/status`);
  if (answer.status === 200) return '200';
  if (answer.status === 404 && answer.body.includes('not_found'))
    throw new CheckSkippedError('no application answers /socket/status (storefront-chat does)');
  // API Gateway's own words for a host that it does not know.
  const host = answer.body.includes('"message":"Forbidden"') ? '; was the Host of the viewer forwarded?' : '';
  throw new CheckFailedError(`${unexpected(answer, '200').message}${host}`);
}

async function foreignOrigin(target: Target): Promise<string> {
  const headers = { Origin: FOREIGN };
  const answers = [
    await upgrade(engine(target.url, target, 'websocket'), headers),
    await ask(engine(target.url, target, 'polling'), { headers }),
  ];
  const [admitted] = answers.filter(({ status: code }) => code !== 403);
  if (admitted === undefined) return '403 by both transports';
  const any = admitted.status < 300 ? '; is ORIGINS=*?' : '';
  throw new CheckFailedError(`${unexpected(admitted, `403 for Origin ${FOREIGN}`).message}${any}`);
}

async function heldPoll(target: Target): Promise<string> {
  const url = engine(target.url, target, 'polling');
  const sid = await pollingSession(url);
  const began = performance.now();
  const answer = await ask(`${url}&sid=${encodeURIComponent(sid)}`);
  const seconds = (performance.now() - began) / 1_000;
  if (answer.status !== 200) throw unexpected(answer, '200');
  if (seconds < HELD_SECONDS.least || seconds > HELD_SECONDS.most)
    throw new CheckFailedError(
      `200 after ${seconds.toFixed(1)} s: it was not held, or longer than anybody waits`,
    );
  return `200 after ${seconds.toFixed(1)} s`;
}

async function webSocketApi({ webSocketUrl, apiKey }: Target): Promise<string> {
  const url = `${known(webSocketUrl, 'websocket').replace(/\/$/, '')}?EIO=4&transport=websocket`;
  if (!apiKey) return opens(url);
  const answer = await upgrade(url);
  if (answer.status !== 403) throw unexpected(answer, '403 for who has no key');
  return '403 for who has no key';
}

async function silence(target: Target): Promise<string> {
  const { stayMinutes } = target;
  if (stayMinutes === 0)
    throw new CheckSkippedError('--stay <minutes> stays connected without a word; an hour shows it');
  return withClient(target, { reconnection: false }, async (socket) => {
    const gone = new Promise<string>((resolve) => socket.once('disconnect', resolve));
    const ended = new AbortController();
    const stayed = pause(stayMinutes * 60_000, undefined, { signal: ended.signal }).catch(() => undefined);
    const reason = await Promise.race([gone, stayed]);
    ended.abort();
    if (reason !== undefined) throw new CheckFailedError(`disconnected: ${reason}`);
    return `connected for ${stayMinutes} min without a word`;
  });
}

function known(url: string | undefined, option: string): string {
  if (url === undefined) throw new CheckSkippedError(`--${option} or --stack tells where it is`);
  return url;
}

function isRefusal(answer: unknown): boolean {
  return typeof answer === 'object' && answer !== null && 'ok' in answer && answer.ok === false;
}
