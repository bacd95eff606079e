/**
 * Stock clients that reconnect by themselves and note what they hear, but for negative numbers: `[origin, first number, clients,
 * room size]`. Says so when all are in their rooms.
 */
import pMap from 'p-map';
import { io, type Socket } from 'socket.io-client';
import { dropRepeats } from '../client/index.ts';
import { sharedNow, whenAsked } from './child.ts';

/** ±50 %, and twice as long after each failure, up to 5 s: all but the first figure are the client's defaults. */
export const RECONNECTION_DELAY_MS = 100;
/** The default of 20 s is for servers on more than one machine: here all wait in one queue, which is longer with each that gives up. */
const CONNECT_TIMEOUT_MS = 90_000;
const CONCURRENCY = 4;
const PATIENCE_MS = 60_000;

/** Of one client. */
export interface Account {
  readonly room: string;
  /** How often it has connected; once before it is cut off. */
  connections: number;
  /** When it did the last time; ms on the shared clock. */
  connectedAt: number;
  /** Whether it recovered each time after the first. */
  recovered: boolean;
  attempts: number;
  /** When its listener heard each number first. */
  readonly heard: [n: number, at: number][];
  /** Events that came again, and those of them that its listener heard. */
  repeats: number;
  heardAgain: number;
}

/** So far, all clients of this process together. */
export interface Progress {
  /** Connected for the second time at least. */
  readonly back: number;
  readonly heard: number;
}

export type Question = 'progress' | 'accounts';

const [origin = '', first = '0', clients = '0', roomSize = '1'] = process.argv.slice(2);
const accounts: Account[] = [];
const sockets: Socket[] = [];

async function enter(number: number): Promise<void> {
  const account: Account = {
    room: `room:${Math.floor(number / Number(roomSize))}`,
    connections: 0,
    connectedAt: 0,
    recovered: true,
    attempts: 0,
    heard: [],
    repeats: 0,
    heardAgain: 0,
  };
  accounts.push(account);
  const socket = io(`${origin}/recover`, {
    transports: ['websocket'],
    forceNew: true,
    reconnectionDelay: RECONNECTION_DELAY_MS,
    timeout: CONNECT_TIMEOUT_MS,
  });
  sockets.push(socket);
  listen(socket, account);
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('a client did not get into its room')), PATIENCE_MS);
    socket.on('connect', async () => {
      account.connections += 1;
      account.connectedAt = sharedNow();
      if (account.connections > 1) account.recovered &&= socket.recovered;
      // Who recovers is in its rooms already.
      if (socket.recovered) return;
      if (!(await join(socket, account.room))) return;
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Whether it is in its room; not if its connection is lost meanwhile: when it is back, it asks again. */
async function join(socket: Socket, room: string): Promise<boolean> {
  const answer: unknown = await socket.emitWithAck('enter', { room }).catch(() => undefined);
  if (answer === undefined) return false;
  if ((answer as { ok?: boolean }).ok !== true) throw new Error(`refused: ${JSON.stringify(answer)}`);
  return true;
}

function listen(socket: Socket, account: Account): void {
  const came = new Set<number>();
  const heard = new Set<number>();
  // Before the helper has seen it.
  socket.io.on('packet', ({ data }) => {
    if (!Array.isArray(data) || data[0] !== 'told' || data[1].n < 0) return;
    if (came.has(data[1].n)) account.repeats += 1;
    came.add(data[1].n);
  });
  socket.io.on('reconnect_attempt', () => {
    account.attempts += 1;
  });
  dropRepeats(socket);
  socket.on('told', ({ n }: { n: number }) => {
    if (n < 0) return;
    if (heard.has(n)) account.heardAgain += 1;
    else account.heard.push([n, sharedNow()]);
    heard.add(n);
  });
}

function progress(): Progress {
  const back = sockets.filter(({ connected }, n) => connected && (accounts[n]?.connections ?? 0) > 1);
  return { back: back.length, heard: accounts.reduce((sum, { heard }) => sum + heard.length, 0) };
}

whenAsked<Question>((question) => (question === 'progress' ? progress() : accounts));
process.once('disconnect', () => process.exit());
await pMap(
  Array.from({ length: Number(clients) }, (_, n) => Number(first) + n),
  enter,
  { concurrency: CONCURRENCY },
);
process.send?.('connected');
