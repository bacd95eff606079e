/** Tokens that this start's deployment believes, for whoever the developer wants to be. */
import { SignJWT } from 'jose';

/** The query does not say whom the token is for, or there is nothing to sign it with. */
export class TokenRequestError extends Error {
  override readonly name = 'TokenRequestError';
  readonly code = 'invalid_payload';
  readonly retryable = false;
  readonly field: string;

  constructor(field: string, message: string) {
    super(message);
    this.field = field;
  }
}

/** Claims that hold lists: comma-separated in the query. */
const LISTS = ['vendors', 'conversations', 'groups'];
const LIFETIME = '8h';

/**
 * Signs a token (HS256), good for eight hours.
 *
 * @param query `sub`, the user's id, and whatever claims are wanted: `username`, `rol`, `vendors`, …
 * @param idClaim the claim in which the deployment looks for the id
 * @throws TokenRequestError
 */
export async function issueToken(
  query: URLSearchParams,
  secret: string | undefined,
  idClaim: string,
): Promise<string> {
  const { sub = '', ...rest } = Object.fromEntries(query);
  if (sub === '') throw new TokenRequestError('sub', 'sub must be the id of a user');
  if (!secret) throw new TokenRequestError('sub', 'this stack has no JWT_SECRET to sign with');
  const claims = Object.entries(rest).map(([name, value]) => [
    name,
    LISTS.includes(name) ? value.split(',').filter((item) => item !== '') : value,
  ]);
  return new SignJWT({ ...Object.fromEntries(claims), sub, [idClaim]: sub })
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuedAt()
    .setExpirationTime(LIFETIME)
    .sign(new TextEncoder().encode(secret));
}
