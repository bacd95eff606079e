/** A Socket.IO client with the least work: what is measured is the other side. WebSocket only, namespace `/`. */
import { WebSocket } from 'ws';

const PATIENCE_MS = 60_000;

export interface RawClient {
  readonly ws: WebSocket;
  /** Sends an event and waits for its acknowledgement. */
  call(event: string, payload: unknown): Promise<unknown>;
}

interface RawClientOptions {
  /** Told of every event, as the frame it came in. */
  readonly heard?: (frame: string) => void;
  /** Told of every ping after it was answered. */
  readonly pinged?: () => void;
}

/** Connects one. @throws where it is refused, or not connected within a minute */
export async function connectRaw(origin: string, options: RawClientOptions = {}): Promise<RawClient> {
  const ws = new WebSocket(`${origin.replace(/^http/, 'ws')}/socket.io/?EIO=4&transport=websocket`, {
    perMessageDeflate: false,
  });
  const waiting = new Map<number, (answer: unknown) => void>();
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('a client was not connected')), PATIENCE_MS);
    ws.on('error', reject);
    ws.on('close', (code) => reject(new Error(`a client was closed with ${code}`)));
    ws.on('message', (data: Buffer) => {
      const frame = data.toString('utf8');
      if (frame.startsWith('42')) options.heard?.(frame);
      else if (frame.startsWith('43')) acknowledge(frame, waiting);
      else if (frame === '2') ws.send('3', options.pinged);
      else if (frame.startsWith('0')) ws.send('40');
      else if (frame.startsWith('40')) {
        clearTimeout(timer);
        resolve();
      } else reject(new Error(`a client was told ${frame}`));
    });
  });
  let calls = 0;
  return {
    ws,
    call: (event, payload) => {
      calls += 1;
      const id = calls;
      ws.send(`42${id}${JSON.stringify([event, payload])}`);
      return new Promise((resolve) => waiting.set(id, resolve));
    },
  };
}

function acknowledge(frame: string, waiting: Map<number, (answer: unknown) => void>): void {
  const begin = frame.indexOf('[');
  const id = Number(frame.slice(2, begin));
  waiting.get(id)?.(JSON.parse(frame.slice(begin))[0]);
  waiting.delete(id);
}
