/** Authentication by a JSON Web Token, from `auth.token` or the `Authorization` header. */
import {
  createLocalJWKSet,
  errors,
  type JSONWebKeySet,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  type JWTVerifyResult,
  jwtVerify,
} from 'jose';
import * as z from 'zod/mini';
import type { AppContext, AuthOutcome, Credentials, Json, KeySet, Settings } from '../bus/public.ts';
import { type Auth, canonicalId, type Id, id as idSchema } from './define-app.ts';

/** A user whose token was verified. */
export interface TokenIdentity {
  readonly id: Id;
  readonly username: string | undefined;
  readonly claims: { readonly [claim: string]: Json };
}

/** Why a client is not authenticated, by what it brought. */
export type TokenFailure = 'missing' | 'invalid';

export interface JwtOptions {
  /** What becomes of a client without a valid token. Not asked while tokens cannot be verified: the client is to try again. */
  readonly onFailure: (failure: TokenFailure, context: AppContext) => AuthOutcome;
}

/**
 * Name of the secret that signs the tokens (HS256), where no issuer's keys are given (`JWKS_URL`). Two with a comma between
 * them are both valid, so that it can be exchanged; only others sign.
 */
const SECRET = 'JWT_SECRET';
/** Of an HS256 key at least (RFC 7518, section 3.2). */
const KEY_BYTES = 32;
/** Signatures with a key pair (RFC 7518, RFC 8037); never one whose key is shared. */
const ISSUED_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
];
/** Clocks of issuers are not ours. */
const CLOCK_TOLERANCE_SECONDS = 5;
const BEARER = /^Bearer +(\S+)$/i;

type Verified =
  | { readonly kind: 'verified'; readonly identity: TokenIdentity; readonly expiresAt: number | null }
  | { readonly kind: TokenFailure | 'unavailable' };

/** No fault of the token's. */
const UNAVAILABLE = { kind: 'unavailable', message: 'tokens cannot be verified at the moment' } as const;

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
      if (verified.kind === 'unavailable') return UNAVAILABLE;
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

/** Verifies a token. Never throws; a secret or keys that cannot be read are `unavailable`. */
async function verifyToken(token: string, context: AppContext): Promise<Verified> {
  let key: VerificationKey;
  try {
    key = await verificationKey(context);
  } catch (error) {
    context.log.error('tokens cannot be verified', { error });
    return { kind: 'unavailable' };
  }
  try {
    const { payload } = await key.verify(token, {
      ...expectedClaims(context.settings),
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      currentDate: new Date(context.now()),
    });
    const identity = identityOf(payload, context.settings.JWT_ID_CLAIM ?? 'sub');
    if (identity === undefined) return { kind: 'invalid' };
    return { kind: 'verified', identity, expiresAt: endOf(payload) };
  } catch (error) {
    if (!(error instanceof errors.JOSEError)) context.log.warn('a token could not be verified', { error });
    return { kind: 'invalid' };
  }
}

/** `exp` in whole milliseconds: a NumericDate may have a fraction (RFC 7519, section 2). */
function endOf({ exp }: JWTPayload): number | null {
  return exp === undefined ? null : Math.floor(exp * 1_000);
}

interface VerificationKey {
  verify(token: string, options: JWTVerifyOptions): Promise<JWTVerifyResult>;
}

/**
 * The deployment decides whether tokens are signed with its secret or by an issuer, and never the token: what a header
 * says of its algorithm only has to agree. So a public key is never taken for a secret.
 * @throws SecretError, KeySetError
 */
async function verificationKey({ keySets, secrets, settings }: AppContext): Promise<VerificationKey> {
  const { JWKS_URL: url } = settings;
  if (url === undefined || url === '') {
    const keys = sharedKeys(await secrets.get(SECRET));
    return { verify: (token, options) => verifyWithAny(keys, token, { ...options, algorithms: ['HS256'] }) };
  }
  const known = await keySets.get(url);
  const key: JWTVerifyGetKey = async (header, jws) => {
    try {
      return await keysOf(known)(header, jws);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error;
      // The issuer may have begun to sign with another one.
      const newer = await keySets.get(url, known);
      if (newer === known) throw error;
      return keysOf(newer)(header, jws);
    }
  };
  return { verify: (token, options) => jwtVerify(token, key, { ...options, algorithms: ISSUED_ALGORITHMS }) };
}

/**
 * The secret, and where it is two with a comma between them each of these, so that it can be exchanged. A secret may hold a
 * comma of its own: what is shorter than a key is none.
 */
function sharedKeys(text: string): Keys {
  const encoder = new TextEncoder();
  const parts = text.split(',').map((part) => encoder.encode(part.trim()));
  const areTwo = parts.length === 2 && parts.every(({ length }) => length >= KEY_BYTES);
  return [encoder.encode(text), ...(areTwo ? parts : [])];
}

type Keys = readonly [Uint8Array, ...Uint8Array[]];

/** @throws what is wrong with the token where one of the keys has signed it, else that none has */
async function verifyWithAny(
  [key, next, ...others]: Keys,
  token: string,
  options: JWTVerifyOptions,
): Promise<JWTVerifyResult> {
  try {
    return await jwtVerify(token, key, options);
  } catch (error) {
    if (next === undefined || !(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
    return verifyWithAny([next, ...others], token, options);
  }
}

/** A key is made usable once for each reading of its set. */
const usableKeys = new WeakMap<KeySet, ReturnType<typeof createLocalJWKSet>>();

function keysOf(set: KeySet): ReturnType<typeof createLocalJWKSet> {
  const known = usableKeys.get(set);
  if (known !== undefined) return known;
  // The form of each key is looked at where it is used.
  const keys = createLocalJWKSet(set as unknown as JSONWebKeySet);
  usableKeys.set(set, keys);
  return keys;
}

function expectedClaims({ JWT_AUDIENCE = '', JWT_ISSUER = '' }: Settings): JWTVerifyOptions {
  const audience = JWT_AUDIENCE.split(',').flatMap((each) => (each.trim() === '' ? [] : [each.trim()]));
  return {
    ...(audience.length === 0 ? {} : { audience }),
    ...(JWT_ISSUER === '' ? {} : { issuer: JWT_ISSUER }),
  };
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
