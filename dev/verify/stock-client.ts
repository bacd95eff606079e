/** The stock client, as anybody has it. */
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';
import { CheckFailedError, type Target } from './check.ts';

/** The stock client gives a connection 20 s; an upgrade may take a moment more. */
const CONNECT_MS = 30_000;
const ANSWER_MS = 10_000;
/** What a client waits before it comes back; shorter than its default, which nothing here depends on. */
const RECONNECTION_MS = 500;

/** Runs something with a client that is connected, and disconnects it. */
export async function withClient<T>(
  target: Target,
  options: Partial<ManagerOptions & SocketOptions>,
  use: (socket: Socket) => Promise<T>,
): Promise<T> {
  const { url, path, namespace, token } = target;
  const socket = io(`${url}${namespace === '/' ? '' : namespace}`, {
    path,
    forceNew: true,
    reconnectionDelay: RECONNECTION_MS,
    ...(token === undefined ? {} : { auth: { token } }),
    ...options,
  });
  try {
    await connected(socket);
    return await use(socket);
  } finally {
    socket.disconnect();
  }
}

/** @throws CheckFailedError with the reason of the last attempt, where none succeeds in time, or at once where it is refused */
export function connected(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    let reason = 'no answer';
    const end = (error?: Error) => {
      clearTimeout(timer);
      socket.off('connect', onConnect).off('connect_error', onError);
      if (error === undefined) resolve();
      else reject(error);
    };
    const onConnect = () => end();
    const onError = (error: Error) => {
      reason = error.message;
      // The stock client does not try again where the server refused the namespace.
      if (!socket.active) end(new CheckFailedError(`the server refuses the client: ${reason}`));
    };
    const timer = setTimeout(
      () => end(new CheckFailedError(`not connected in ${CONNECT_MS / 1_000} s: ${reason}`)),
      CONNECT_MS,
    );
    socket.on('connect', onConnect).on('connect_error', onError);
  });
}

/** @throws CheckFailedError where a connection that began by polling stays there */
export async function upgraded(socket: Socket): Promise<void> {
  const { engine } = socket.io;
  if (engine.transport.name === 'websocket') return;
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      engine.off('upgrade', onUpgrade);
      reject(new CheckFailedError(`still ${engine.transport.name} after ${CONNECT_MS / 1_000} s`));
    }, CONNECT_MS);
    const onUpgrade = () => {
      clearTimeout(timer);
      resolve();
    };
    engine.once('upgrade', onUpgrade);
  });
}

/** The acknowledgement of an event. @throws {Error} where there is none in time */
export function acknowledged(socket: Socket, event: string, data: unknown): Promise<unknown> {
  return socket.timeout(ANSWER_MS).emitWithAck(event, ...(data === undefined ? [] : [data]));
}
