/** What a deployment has to do, as somebody says it on the command line. */
import * as z from 'zod/mini';
import { UsageError } from '../local-defaults.ts';

/** A connection is recycled at a random time from 100 to 118 minutes (lambdas/bus/heartbeat.ts). */
export const RECYCLED_MINUTES = 109;

function number(min: number, max: number, whole = true) {
  const kind = whole ? 'a whole number' : 'a number';
  const error = () => `must be ${kind} from ${min.toLocaleString('en')} to ${max.toLocaleString('en')}`;
  // `Number('')` is 0, which nobody has written.
  const written = z.pipe(z.string({ error }).check(z.regex(/^\d+(\.\d+)?$/, { error })), z.transform(Number));
  return z.pipe(
    written,
    (whole ? z.int({ error }) : z.number({ error })).check(z.gte(min, { error }), z.lte(max, { error })),
  );
}

const schema = z.object({
  /** Connected at any time. */
  clients: number(0, 10_000_000),
  /** Of the period that is priced. */
  hours: z._default(number(1, 8_784, false), 730),
  /** In all of the period. */
  publishes: z._default(number(0, 1e12), 0),
  /** Recipients of each publish. */
  audience: z._default(number(0, 10_000_000), 1),
  /** Minutes between two pings. */
  heartbeat: z._default(number(1, 8), 4),
  /** Events of clients in all of the period, each acknowledged. */
  sent: z._default(number(0, 1e12), 0),
  /** Of the arguments of each event. */
  bytes: z._default(number(0, 128 * 1_024), 200),
  /** Minutes that a connection lasts. */
  session: z._default(number(1, RECYCLED_MINUTES, false), RECYCLED_MINUTES),
  /** `default` is polling first, then a WebSocket. */
  transports: z._default(
    z.enum(['default', 'websocket'], { error: () => 'must be default or websocket' }),
    'default',
  ),
  /** Percent of the clients that never get a WebSocket. */
  polling: z._default(number(0, 100, false), 0),
});

export type Workload = Readonly<z.output<typeof schema>>;

/** @throws {UsageError} with every wrong option, by its name */
export function workloadOf(options: Readonly<Record<string, string | boolean | undefined>>): Workload {
  const given = Object.entries(options).filter(([name, value]) => name !== 'help' && value !== undefined);
  const result = schema.safeParse(Object.fromEntries(given));
  if (result.success) return impossible(result.data);
  const lines = result.error.issues.map(({ path, message }) => {
    const name = String(path[0]);
    const value = options[name];
    return value === undefined ? `--${name} is missing` : `--${name} ${message}, not "${value}"`;
  });
  throw new UsageError(lines.join('\n'));
}

/** Options that are right by themselves and not together. */
function impossible(workload: Workload): Workload {
  const { audience, clients, polling, publishes, transports } = workload;
  if (publishes > 0 && audience > clients)
    throw new UsageError(`--audience is ${audience}, and there are only ${clients} clients (--clients)`);
  if (polling > 0 && transports === 'websocket')
    throw new UsageError('--polling must be 0 with --transports websocket, which refuses clients that poll');
  return workload;
}
