/** The deployed stack and stock clients, for integration tests. */
import { SignJWT } from 'jose';
import { io, type ManagerOptions, type Socket, type SocketOptions } from 'socket.io-client';
import { parseOffset } from '../../lambdas/contract/offsets.ts';
import { type LocalStack, type StackOptions, startStack } from '../../local/stack.ts';
import { assembly } from './assembly.ts';
import { Secrecy } from './secrecy.ts';

export const JWT_SECRET = 'a secret for tests only, long enough for HS256';

export const CLOUD_API_KEY = 'an API key for tests only';

export interface TestStack {
  readonly stack: LocalStack;
  /** Every line that the functions wrote. */
  readonly logs: string[];
  /** A stock client, connecting; closed with the stack. */
  client(options?: Partial<ManagerOptions & SocketOptions>, namespace?: string): Socket;
  /** Rejects where a function has logged or kept a secret of the deployment or what a client proved itself with. */
  close(): Promise<void>;
}

/** Runs the shared assembly, all five applications, or the one that is given. */
export async function startTestStack(options: Partial<StackOptions> = {}): Promise<TestStack> {
  const logs: string[] = [];
  const stack = await startStack({
    assembly: assembly(),
    schedule: false,
    settings: { JWT_SECRET, CLOUD_API_KEY, ...otherDatabase() },
    log: (entry) => logs.push(JSON.stringify(entry)),
    ...options,
  });
  const clients: Socket[] = [];
  let closing: Promise<void> | undefined;
  const secrecy = new Secrecy();
  const { settings = { JWT_SECRET, CLOUD_API_KEY } } = options;
  for (const name of ['JWT_SECRET', 'CLOUD_API_KEY']) secrecy.add(settings[name]);
  const close = async () => {
    for (const socket of clients) {
      secrecy.addClient(socket);
      socket.disconnect();
    }
    const rows = await allRows(stack);
    await stack.close();
    // Clients that have none of their own brought what tests signed.
    for (const signed of signedTokens) secrecy.add(signed);
    const leaks = [...secrecy.logged(logs), ...secrecy.kept(rows)];
    if (leaks.length > 0) throw new Error(`a secret was logged or kept:\n${leaks.join('\n')}`);
  };
  return {
    stack,
    logs,
    client: (clientOptions = {}, namespace = '/') => {
      const url = namespace === '/' ? stack.origin : `${stack.origin}${namespace}`;
      const socket = io(url, {
        transports: ['websocket'],
        forceNew: true,
        reconnection: false,
        ...clientOptions,
      });
      clients.push(socket);
      return socket;
    },
    close: () => {
      closing ??= close();
      return closing;
    },
  };
}

/** Tables of somebody else, where the environment names them: the same behaviour is wanted there. */
function otherDatabase(): Record<string, string> {
  const { DYNAMODB_ENDPOINT } = process.env;
  return DYNAMODB_ENDPOINT === undefined ? {} : { DYNAMODB_ENDPOINT };
}

/** Every row of every table, as text. */
async function allRows({ deployment, dynamodb }: LocalStack): Promise<string[]> {
  const rows: string[] = [];
  for (const { name: TableName } of deployment.tables) {
    let ExclusiveStartKey: unknown;
    do {
      const from = ExclusiveStartKey === undefined ? {} : { ExclusiveStartKey };
      const reply = await dynamodb?.handle('Scan', { TableName, ...from });
      const page = reply?.body as { Items?: unknown[]; LastEvaluatedKey?: unknown } | undefined;
      rows.push(...(page?.Items ?? []).map((item) => JSON.stringify(item)));
      ExclusiveStartKey = page?.LastEvaluatedKey;
    } while (ExclusiveStartKey !== undefined);
  }
  return rows;
}

const signedTokens: string[] = [];

/** A token of the test deployment. */
export async function token(
  claims: Record<string, unknown>,
  options: { secret?: string; expires?: string } = {},
): Promise<string> {
  const signed = await new SignJWT(claims)
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuedAt()
    .setExpirationTime(options.expires ?? '1h')
    .sign(new TextEncoder().encode(options.secret ?? JWT_SECRET));
  signedTokens.push(signed);
  return signed;
}

const PATIENCE_MS = 8_000;

/** The first payload of an event, or a failure that names it. */
export function heard<T = Record<string, unknown>>(socket: Socket, event: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${event} was not heard`)), PATIENCE_MS);
    socket.once(event, (payload: T) => {
      clearTimeout(timer);
      resolve(payload);
    });
  });
}

/** Everything a socket hears from now on, by event, without the offset that recovery adds as last argument. */
export function recorded(socket: Socket): { readonly event: string; readonly args: unknown[] }[] {
  const all: { readonly event: string; readonly args: unknown[] }[] = [];
  socket.onAny((event: string, ...args: unknown[]) => all.push({ event, args: withoutOffset(args) }));
  return all;
}

function withoutOffset(args: readonly unknown[]): unknown[] {
  return parseOffset(args.at(-1)) === undefined ? [...args] : args.slice(0, -1);
}
