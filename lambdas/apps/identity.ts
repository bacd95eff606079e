/**
 * Who a client is, as far as it has proven it (the contract, "Identity"). Where `identityMode` is `trusted` every
 * claim is believed; where it is `token`, an id in a payload counts only as far as a verified token bears it out.
 * Sockets and HTTP routes hand over the same thing: the identity their application's `auth` accepted.
 */
import * as z from 'zod/mini';
import { type AppContext, BusError, type Handshake, type Json, type Millis } from '../bus/public.ts';
import { type AppSocket, type Auth, type EventSchemas, type Id, id } from './define-app.ts';
import { jwt, type TokenFailure, type TokenIdentity } from './jwt.ts';

/** What a token of a client proved; undefined where it brought none that is valid. */
type Identity = TokenIdentity | undefined;

/** A token that was verified, and when it ends (milliseconds since the epoch); JSON, to be kept in `socket.data`. */
export interface Proof {
  readonly identity: Pick<TokenIdentity, 'id' | 'claims'>;
  readonly expiresAt?: Millis;
}

const proofSchema = z.object({
  identity: z.object({ id: id(), claims: z.record(z.string(), z.json()) }),
  expiresAt: z.optional(z.number()),
});

/** Claims that say something about what their holder may do; the others are nobody's business here. */
const KEPT_CLAIMS = ['vendors', 'conversations', 'groups', 'rol', 'role'] as const;

const REFUSALS: Readonly<Record<TokenFailure, string>> = {
  missing: 'the token is empty',
  invalid: 'the token could not be verified',
};

/**
 * Authentication by a JSON Web Token that a client may do without: a missing or invalid one leaves it connected,
 * without an identity. Where claims are trusted, nothing hangs on the token, so its end ends nothing, and one that cannot
 * be verified keeps nobody out.
 */
export function optionalJwt(): Auth<TokenIdentity> {
  const auth = jwt({ onFailure: () => ({ kind: 'accepted' }) });
  return {
    ...auth,
    async authenticate(credentials, context) {
      const outcome = await auth.authenticate(credentials, context);
      if (context.identityMode === 'token') return outcome;
      if (outcome.kind !== 'accepted') return { kind: 'accepted' };
      const { expiresAt: _, ...lasting } = outcome;
      return lasting;
    },
  };
}

/**
 * Verifies a token that came in a payload instead of the handshake.
 * @throws BusError `unauthenticated` where it is not valid, `internal` where it cannot be verified now
 */
export async function verifiedToken(
  token: string,
  handshake: Handshake,
  context: AppContext,
): Promise<Proof> {
  const auth = jwt({
    onFailure: (failure) => {
      throw new BusError('unauthenticated', REFUSALS[failure]);
    },
  });
  const outcome = await auth.authenticate({ handshake, auth: { token }, credential: undefined }, context);
  if (outcome.kind === 'unavailable') throw new BusError('internal', outcome.message);
  const parsed = z.safeParse(proofSchema, outcome);
  if (!parsed.success) throw new BusError('unauthenticated', REFUSALS.invalid);
  const { identity, expiresAt } = parsed.data;
  const kept = { id: identity.id, claims: keptClaims(identity.claims) };
  return expiresAt === undefined ? { identity: kept } : { identity: kept, expiresAt };
}

/** The identity of a proof that was kept in `socket.data`; none once its token has ended. */
export function provenIdentity(stored: Json | undefined, context: Pick<AppContext, 'now'>): Identity {
  const parsed = z.safeParse(proofSchema, stored);
  if (!parsed.success) return undefined;
  const { identity, expiresAt } = parsed.data;
  if (expiresAt !== undefined && expiresAt <= context.now()) return undefined;
  return { ...identity, username: undefined };
}

/**
 * Lets a client speak as the id it claims.
 * @param what how the id is called in the payload, for the refusal: `customerId`, `userId`
 * @throws BusError `unauthenticated` without a verified token, `forbidden` where the token is somebody else's
 */
export function requireIdentity(context: AppContext, identity: Identity, claimed: Id, what = 'id'): void {
  if (context.identityMode === 'trusted') return;
  if (String(requireToken(identity).id) === String(claimed)) return;
  throw new BusError('forbidden', `the token proves another id than the ${what} ${claimed}`, { field: what });
}

/**
 * Lets a client speak in a role: it must be the token's `rol` (or `role`) claim where the token has one.
 * @throws BusError `unauthenticated`, `forbidden`
 */
export function requireRole(context: AppContext, identity: Identity, rol: string): void {
  if (context.identityMode === 'trusted') return;
  const { claims } = requireToken(identity);
  const claim = claims.rol ?? claims.role;
  if (claim === undefined || claim === null || claim === rol) return;
  throw new BusError('forbidden', `the token's role claim is not ${rol}`, { field: 'rol' });
}

/**
 * Lets a client act for a vendor: the token's `vendors` claim must list it.
 * @throws BusError `unauthenticated`, `forbidden`
 */
export function requireVendor(context: AppContext, identity: Identity, vendorId: Id): void {
  if (context.identityMode === 'trusted' || lists(requireToken(identity), 'vendors', vendorId)) return;
  throw new BusError('forbidden', `the token's vendors claim does not list the vendor ${vendorId}`);
}

/**
 * Whether a client may hear and write a conversation: it is in the token's `conversations` claim, or a backend has
 * granted its room to the token's id.
 * @param room the conversation's room, which grants are given for
 */
export async function mayJoinConversation(
  context: AppContext,
  identity: Identity,
  conversationId: Id,
  room: string,
): Promise<boolean> {
  if (context.identityMode === 'trusted') return true;
  if (identity === undefined) return false;
  return lists(identity, 'conversations', conversationId) || context.grants.has(identity.id, room);
}

/**
 * As `mayJoinConversation`, refusing.
 * @throws BusError `unauthenticated` without a verified token, `forbidden` with neither claim nor grant
 */
export async function requireConversation(
  context: AppContext,
  identity: Identity,
  conversationId: Id,
  room: string,
): Promise<void> {
  if (await mayJoinConversation(context, identity, conversationId, room)) return;
  requireToken(identity);
  throw new BusError(
    'forbidden',
    `neither the token's conversations claim nor a grant opens the conversation ${conversationId}`,
  );
}

/**
 * Joins a room that was found open, and looks again from within: a grant revoked between the two found no member to put out.
 * Where that look fails, it is not known whether it is open: who was in before stays.
 * @throws what `requireOpen` throws
 */
export async function joinWhileOpen(
  socket: Pick<AppSocket<EventSchemas, unknown>, 'rooms' | 'join' | 'leave'>,
  room: string,
  requireOpen: () => Promise<void>,
): Promise<void> {
  const wasIn = socket.rooms.has(room);
  await socket.join(room);
  try {
    await requireOpen();
  } catch (error) {
    if (!wasIn || error instanceof BusError) await socket.leave(room);
    throw error;
  }
}

/** @throws BusError `unauthenticated` */
function requireToken(identity: Identity): TokenIdentity {
  if (identity !== undefined) return identity;
  throw new BusError('unauthenticated', 'a verified token is missing: auth.token or an Authorization header');
}

/** Ids are equal as text: `7` and `"7"` are one. */
function lists({ claims }: TokenIdentity, claim: 'vendors' | 'conversations', wanted: Id): boolean {
  const listed = claims[claim];
  return Array.isArray(listed) && listed.some((each) => isId(each) && String(each) === String(wanted));
}

function isId(value: unknown): value is Id {
  return typeof value === 'string' || typeof value === 'number';
}

function keptClaims(claims: TokenIdentity['claims']): Record<string, Json> {
  return Object.fromEntries(
    KEPT_CLAIMS.flatMap((name) => {
      const claim = claims[name];
      return claim === undefined ? [] : [[name, claim]];
    }),
  );
}
