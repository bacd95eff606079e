/** Who makes a request, as an application sees it. */
import type { Application, AuthOutcome } from './application.ts';
import { appContext, type Bus } from './context.ts';
import { BusError } from './errors.ts';
import { keptHandshake } from './handshake.ts';
import type { Handshake } from './ports.ts';

type Known = Exclude<AuthOutcome, { kind: 'unavailable' }>;

export interface IdentifiedRequest {
  readonly headers: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  readonly address: string;
}

/**
 * The application's own authentication, on what the request's headers prove.
 * @throws BusError `internal` where that cannot be known now: it must not pass for no proof
 */
export async function authenticated(
  bus: Bus,
  application: Application,
  request: IdentifiedRequest,
): Promise<{ readonly handshake: Handshake; readonly outcome: Known }> {
  const handshake = keptHandshake({ ...request, at: bus.clock.now() });
  const { auth } = application;
  if (auth === undefined) return { handshake, outcome: { kind: 'accepted' } };
  const context = appContext(bus, application);
  const credential = await auth.credential?.(request.headers, context);
  const outcome = await auth.authenticate({ handshake, auth: {}, credential }, context);
  if (outcome.kind === 'unavailable') throw new BusError('internal', outcome.message);
  return { handshake, outcome };
}
