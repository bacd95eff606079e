/**
 * Signature Version 4 for many posts at once ("Create a signed AWS API request", IAM user guide). The maintained signer
 * costs more than the request it signs, since it takes every request for a new one; here what all posts of a second have
 * in common is made once, and a post costs one hash and one HMAC.
 */
import { createHmac, hash } from 'node:crypto';

export interface SigningCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Temporary credentials have one. */
  readonly sessionToken?: string;
}

/** What posts have in common while date and credentials are the same. */
export interface Stamp {
  /** Names and values in turn; the authorization and the length are added to them. */
  readonly headers: readonly string[];
  readonly canonicalHeaders: string;
  readonly signedHeaders: string;
  readonly key: Buffer;
  /** The string to sign up to the hash of the request. */
  readonly toSign: string;
  /** The authorization up to the signature. */
  readonly authorization: string;
}

const ALGORITHM = 'AWS4-HMAC-SHA256';
const SERVICE = 'execute-api';
/** As the SDK's client says it; the edge posts a body of any type as text. */
const CONTENT_TYPE = 'application/octet-stream';

/** Signs `POST`s to one host. */
export class PostSigner {
  readonly #host: string;
  #key: { readonly of: string; readonly value: Buffer } | undefined;

  /** @param host as the `Host` header has it: with the port where it is not the scheme's own */
  constructor(host: string) {
    this.#host = host;
  }

  /** @param now milliseconds since the epoch; a signature is good for five minutes around it */
  stamp(credentials: SigningCredentials, region: string, now: number): Stamp {
    const date = new Date(now).toISOString().replace(/[-:]|\.\d{3}/g, '');
    const day = date.slice(0, 8);
    const scope = `${day}/${region}/${SERVICE}/aws4_request`;
    const { accessKeyId, secretAccessKey, sessionToken } = credentials;
    // In the order of their names, as the canonical request has them.
    const signed: [string, string][] = [
      ['content-type', CONTENT_TYPE],
      ['host', this.#host],
      ['x-amz-date', date],
    ];
    if (sessionToken) signed.push(['x-amz-security-token', sessionToken]);
    const signedHeaders = signed.map(([name]) => name).join(';');
    return {
      headers: signed.flat(),
      canonicalHeaders: signed.map(([name, value]) => `${name}:${value}\n`).join(''),
      signedHeaders,
      key: this.#signingKey(secretAccessKey, day, region),
      toSign: `${ALGORITHM}\n${date}\n${scope}\n`,
      authorization: `${ALGORITHM} Credential=${accessKeyId}/${scope}, SignedHeaders=${signedHeaders}, Signature=`,
    };
  }

  /** Good for a day; only the last one is kept, as all but one have run out. */
  #signingKey(secret: string, day: string, region: string): Buffer {
    const of = `${day}/${region}/${secret}`;
    if (this.#key?.of !== of) {
      const value = [day, region, SERVICE, 'aws4_request'].reduce<Buffer>(
        (key, text) => createHmac('sha256', key).update(text).digest(),
        Buffer.from(`AWS4${secret}`),
      );
      this.#key = { of, value };
    }
    return this.#key.value;
  }
}

/**
 * The `Authorization` of one post.
 *
 * @param path as it is sent, percent-encoded once; every service but S3 signs it encoded once more. Empty and dot
 *   segments, which would be signed without, are not expected in it
 * @param payloadHash SHA-256 of the body, in hex
 */
export function authorization(stamp: Stamp, path: string, payloadHash: string): string {
  const canonical = `POST\n${path.replaceAll('%', '%25')}\n\n${stamp.canonicalHeaders}\n${stamp.signedHeaders}\n${payloadHash}`;
  const toSign = stamp.toSign + hash('sha256', canonical);
  return stamp.authorization + createHmac('sha256', stamp.key).update(toSign).digest('hex');
}

/** Percent-encodes everything but the unreserved characters of RFC 3986, as a signed path must be. */
export function encodeSegment(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
