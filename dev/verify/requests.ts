/** Requests of Engine.IO without a client, as `curl` would make them. */
import { lookup } from 'node:dns/promises';
import { get as getHttp } from 'node:http';
import { get as getHttps } from 'node:https';
import { WebSocket } from 'ws';
import { CheckFailedError, CheckSkippedError } from './check.ts';

const PATIENCE_MS = 20_000;
/** Longer than any poll is held. */
const POLL_MS = 35_000;

export interface Answer {
  readonly status: number;
  readonly body: string;
}

export async function ask(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, { signal: AbortSignal.timeout(POLL_MS), ...init });
  return { status: response.status, body: await response.text() };
}

/** The session that a polling handshake opens. @throws CheckFailedError for another answer than an open packet */
export async function pollingSession(url: string): Promise<string> {
  const { status, body } = await ask(url);
  const sid = /^0\{"sid":"([^"]+)"/.exec(body)?.[1];
  if (status !== 200 || sid === undefined) throw unexpected({ status, body }, 'an open packet');
  return sid;
}

/** How an upgrade is answered: 101 with the first frame as body, or another status. */
export function upgrade(url: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url.replace(/^http/, 'ws'), { headers, handshakeTimeout: PATIENCE_MS });
    const timer = setTimeout(() => socket.terminate(), PATIENCE_MS);
    const end = (answer: Answer) => {
      clearTimeout(timer);
      socket.close();
      resolve(answer);
    };
    socket.on('message', (data) => end({ status: 101, body: String(data) }));
    socket.on('unexpected-response', (request, response) => {
      request.destroy();
      end({ status: response.statusCode ?? 0, body: '' });
    });
    socket.on('close', () => end({ status: 101, body: '' }));
    socket.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
  });
}

/** As `ask`, over IPv6. @throws CheckSkippedError where the name has no such address, or this machine no such network */
export async function askOverIpv6(url: string): Promise<Answer> {
  const { hostname, protocol } = new URL(url);
  await lookup(hostname, { family: 6 }).catch((error: NodeJS.ErrnoException) => {
    throw new CheckSkippedError(`${hostname} has no IPv6 address here (${error.code ?? error.message})`);
  });
  return new Promise((resolve, reject) => {
    const get = protocol === 'https:' ? getHttps : getHttp;
    const request = get(url, { family: 6, signal: AbortSignal.timeout(PATIENCE_MS) }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    request.on('error', (error: NodeJS.ErrnoException) => {
      const isOurs = ['ENETUNREACH', 'EHOSTUNREACH', 'EADDRNOTAVAIL'].includes(error.code ?? '');
      reject(isOurs ? new CheckSkippedError(`this machine has no IPv6 (${error.code})`) : error);
    });
  });
}

export function unexpected({ status, body }: Answer, wanted: string): CheckFailedError {
  const seen = body === '' ? '' : ` ${body.slice(0, 120)}`;
  return new CheckFailedError(`wanted ${wanted}, got ${status}${seen}`);
}
