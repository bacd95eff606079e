/** Tokens for a world whose clock a test holds. */
import { SignJWT } from 'jose';
import { START } from '../support/world.ts';

export const JWT_SECRET = 'a secret for tests only, long enough for HS256';

export interface TokenOptions {
  readonly secret?: string;
  readonly alg?: string;
}

/** A token with exactly these claims, `exp` an hour after the world begins unless they say otherwise. */
export function token(claims: Record<string, unknown>, options: TokenOptions = {}): Promise<string> {
  const { secret = JWT_SECRET, alg = 'HS256' } = options;
  const all = { exp: seconds(3_600), ...claims };
  return new SignJWT(all).setProtectedHeader({ alg }).sign(new TextEncoder().encode(secret));
}

/** So many seconds after the world begins, as claims count time. */
export function seconds(after: number): number {
  return START / 1_000 + after;
}

/** A token that says it needs no signature. */
export function unsigned(claims: Record<string, unknown>): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'none', typ: 'JWT' })}.${part(claims)}.`;
}
