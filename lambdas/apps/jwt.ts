/** Authentication by a JSON Web Token, from `auth.token` or the `Authorization` header. */
import { errors, type JWTPayload, jwtVerify } from 'jose';
import * as z from 'zod/mini';
import type { AppContext, AuthOutcome, Credentials, Json } from '../bus/public.ts';
import { type Auth, canonicalId, type Id, id as idSchema } from './define-app.ts';

/** A user whose token was verified. */
export interface TokenIdentity {
  readonly id: Id;
  readonly username: string | undefined;
  readonly claims: { readonly [claim: string]: Json };
}

/** Why a client is not authenticated. */
export type TokenFailure = 'missing' | 'invalid' | 'unavailable';

export interface JwtOptions {
  /** What becomes of a client without a valid token. */
  readonly onFailure: (failure: TokenFailure, context: AppContext) => AuthOutcome;
}

/** Name of the secret that signs the tokens (HS256). */
const SECRET = 'JWT_SECRET';
/** Clocks of issuers are not ours. */
const CLOCK_TOLERANCE_SECONDS = 5;
const BEARER = /^Bearer +(\S+)$/i;

type Verified =
  | { readonly kind: 'verified'; readonly identity: TokenIdentity; readonly expiresAt: number | null }
  | { readonly kind: TokenFailure };

/** `auth.token` first, then the header. The header is verified at `$connect`: only claims are ever stored. */
export function jwt(options: JwtOptions): Auth<TokenIdentity> {
  return {
    async credential(headers, context) {
      const header = headers.authorization;
      if (header === undefined) return undefined;
      const token = BEARER.exec(header)?.[1];
      return (token === undefined
        ? { kind: 'missing' }
        : await verifyToken(token, context)) as unknown as Json;
    },
    async authenticate(credentials, context) {
      const verified = await presented(credentials, context);
      if (verified.kind !== 'verified') return options.onFailure(verified.kind, context);
      const { expiresAt } = verified;
      if (expiresAt !== null && expiresAt <= context.now()) return options.onFailure('invalid', context);
      const identity = verified.identity as unknown as Json;
      // Some issuers write milliseconds into `exp`, or a date no calendar has: not a time anything can be due at.
      return expiresAt === null || !Number.isSafeInteger(expiresAt)
        ? { kind: 'accepted', identity }
        : { kind: 'accepted', identity, expiresAt };
    },
  };
}

async function presented({ auth, credential }: Credentials, context: AppContext): Promise<Verified> {
  const token = tokenOf(auth);
  if (typeof token === 'string' && token !== '') return verifyToken(token, context);
  // A token that is there but no string was meant as one.
  if (token !== undefined && token !== null && token !== '') return { kind: 'invalid' };
  return credential === undefined ? { kind: 'missing' } : (credential as unknown as Verified);
}

function tokenOf(auth: unknown): unknown {
  return typeof auth === 'object' && auth !== null && Object.hasOwn(auth, 'token')
    ? (auth as { readonly token: unknown }).token
    : undefined;
}

/** Verifies an HS256 token. Never throws; a secret that cannot be read is `unavailable`. */
async function verifyToken(token: string, context: AppContext): Promise<Verified> {
  let secret: Uint8Array;
  try {
    secret = new TextEncoder().encode(await context.secrets.get(SECRET));
  } catch (error) {
    context.log.error('tokens cannot be verified', { error });
    return { kind: 'unavailable' };
  }
  try {
    const { payload } = await jwtVerify(token, secret, {
      algorithms: ['HS256'],
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      currentDate: new Date(context.now()),
    });
    const identity = identityOf(payload, context.settings.JWT_ID_CLAIM ?? 'sub');
    if (identity === undefined) return { kind: 'invalid' };
    return { kind: 'verified', identity, expiresAt: payload.exp === undefined ? null : payload.exp * 1_000 };
  } catch (error) {
    if (!(error instanceof errors.JOSEError)) context.log.warn('a token could not be verified', { error });
    return { kind: 'invalid' };
  }
}

function identityOf(payload: JWTPayload, claim: string): TokenIdentity | undefined {
  const id = idOf(payload[claim]) ?? idOf(payload.id);
  if (id === undefined) return undefined;
  const username = typeof payload.username === 'string' ? payload.username : undefined;
  return { id, username, claims: payload as unknown as TokenIdentity['claims'] };
}

/** What is no id could name no room, and no event could carry it. */
function idOf(claim: unknown): Id | undefined {
  const parsed = z.safeParse(idSchema(), claim);
  if (!parsed.success) return undefined;
  return typeof parsed.data === 'string' ? canonicalId(parsed.data) : parsed.data;
}
