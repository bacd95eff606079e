import { createHmac, hash, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { GatewayClock } from './clock.ts';
import { MISSING_TOKEN, type Refusal, refusal } from './refusal.ts';

/** What an access key id stands for. */
export interface Credential {
  readonly secretAccessKey: string;
  /** Temporary credentials must come with exactly this token. */
  readonly sessionToken?: string;
  /** Named in the refusal of a call the policies do not allow. */
  readonly principalArn?: string;
}

export type CredentialLookup = (accessKeyId: string) => Credential | undefined;

/** A request as it came over the wire. */
export interface SignedRequest {
  readonly method: string;
  /** Undecoded, without the query. */
  readonly path: string;
  /** Undecoded, without the question mark; empty when there is none. */
  readonly query: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export type Verdict =
  | { readonly kind: 'signed'; readonly accessKeyId: string; readonly credential: Credential | undefined }
  | {
      readonly kind: 'refused';
      /** In the form of API Gateway. */
      readonly refusal: Refusal;
      /** What is wrong, without what only API Gateway adds to it. */
      readonly message: string;
    };

const ALGORITHM = 'AWS4-HMAC-SHA256';
/** A signature is good for five minutes either way (IAM user guide, "Signing AWS API requests"). */
const SKEW_MS = 5 * 60_000;
const KEY_CACHE_LIMIT = 1_000;
const TIMESTAMP = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/;

interface Authorization {
  readonly accessKeyId: string;
  readonly day: string;
  readonly region: string;
  readonly service: string;
  readonly terminator: string;
  readonly signedHeaders: string;
  readonly signature: string;
}

/**
 * Verifies Signature Version 4 as AWS does: the signature is computed again from the request as received and the secret of
 * the access key. Signing keys are cached, since they change once a day only.
 *
 * Not supported, and refused as unsigned: presigned URLs and Signature Version 4A.
 */
export class SignatureVerifier {
  readonly #region: string;
  readonly #clock: GatewayClock;
  readonly #credentials: CredentialLookup | undefined;
  readonly #service: string;
  readonly #keys = new Map<string, Buffer>();

  /**
   * Without `credentials` the form of the signature, its scope and its date are checked, but not its value.
   *
   * @param service as the scope of a signature names it
   */
  constructor(
    region: string,
    clock: GatewayClock,
    credentials: CredentialLookup | undefined,
    service = 'execute-api',
  ) {
    this.#region = region;
    this.#clock = clock;
    this.#credentials = credentials;
    this.#service = service;
  }

  /** The caller of a request, or the refusal AWS would answer. */
  verify(request: SignedRequest): Verdict {
    const header = request.headers.authorization;
    if (header === undefined || header === '') return refused(MISSING_TOKEN);
    const parsed = parseAuthorization(header);
    if ('status' in parsed) return refused(parsed);
    const timestamp = headerText(request.headers['x-amz-date']);
    const fault = this.#scopeFault(parsed, timestamp) ?? signedHeadersFault(parsed, request.headers);
    if (fault !== undefined) return refused(fault);
    if (this.#credentials === undefined) {
      return { kind: 'signed', accessKeyId: parsed.accessKeyId, credential: undefined };
    }
    return this.#compare(request, parsed, timestamp, this.#credentials(parsed.accessKeyId));
  }

  #compare(
    request: SignedRequest,
    authorization: Authorization,
    timestamp: string,
    credential: Credential | undefined,
  ): Verdict {
    const token = request.headers['x-amz-security-token'];
    if (credential === undefined || credential.sessionToken !== token) return refused(INVALID_TOKEN);
    const canonical = canonicalRequest(request, authorization.signedHeaders);
    const toSign = `${ALGORITHM}\n${timestamp}\n${scopeOf(authorization)}\n${hash('sha256', canonical)}`;
    const key = this.#signingKey(credential.secretAccessKey, authorization.day);
    const expected = createHmac('sha256', key).update(toSign).digest();
    const given = Buffer.from(authorization.signature, 'hex');
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
      return { kind: 'refused', refusal: mismatch(canonical, toSign), message: MISMATCH };
    }
    return { kind: 'signed', accessKeyId: authorization.accessKeyId, credential };
  }

  #scopeFault(authorization: Authorization, timestamp: string): Refusal | undefined {
    const signedAt = parseTimestamp(timestamp);
    if (signedAt === undefined) {
      return incomplete(
        `Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization=${ALGORITHM}`,
      );
    }
    if (authorization.terminator !== 'aws4_request') {
      return invalid("Credential should be scoped with a valid terminator: 'aws4_request'. ");
    }
    if (authorization.service !== this.#service) {
      return invalid(`Credential should be scoped to correct service: '${this.#service}'. `);
    }
    if (authorization.region !== this.#region)
      return invalid('Credential should be scoped to a valid region. ');
    if (!timestamp.startsWith(authorization.day)) {
      return invalid(
        `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '${authorization.day}' != '${timestamp.slice(0, 8)}', from '${timestamp}'.`,
      );
    }
    return this.#skewFault(signedAt, timestamp);
  }

  #skewFault(signedAt: number, timestamp: string): Refusal | undefined {
    const now = this.#clock.now();
    if (signedAt < now - SKEW_MS) {
      const limit = formatTimestamp(now - SKEW_MS);
      return invalid(
        `Signature expired: ${timestamp} is now earlier than ${limit} (${formatTimestamp(now)} - 5 min.)`,
      );
    }
    if (signedAt > now + SKEW_MS) {
      const limit = formatTimestamp(now + SKEW_MS);
      return invalid(
        `Signature not yet current: ${timestamp} is still later than ${limit} (${formatTimestamp(now)} + 5 min.)`,
      );
    }
    return undefined;
  }

  #signingKey(secret: string, day: string): Buffer {
    const name = `${day}/${secret}`;
    const cached = this.#keys.get(name);
    if (cached !== undefined) return cached;
    if (this.#keys.size >= KEY_CACHE_LIMIT) this.#keys.clear();
    const key = [day, this.#region, this.#service, 'aws4_request'].reduce<Buffer>(
      (derived, text) => createHmac('sha256', derived).update(text).digest(),
      Buffer.from(`AWS4${secret}`),
    );
    this.#keys.set(name, key);
    return key;
  }
}

const INVALID_TOKEN = refusal(
  403,
  'UnrecognizedClientException',
  'The security token included in the request is invalid.',
);

const MISMATCH =
  'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.';

function refused(reason: Refusal): Verdict {
  const { message } = JSON.parse(reason.body) as { message: string };
  return { kind: 'refused', refusal: reason, message };
}

function invalid(message: string): Refusal {
  return refusal(403, 'InvalidSignatureException', message);
}

function incomplete(message: string): Refusal {
  return refusal(403, 'IncompleteSignatureException', message);
}

/** API Gateway shows what it signed, which is how one finds out what differs. */
function mismatch(canonical: string, toSign: string): Refusal {
  return invalid(
    `${MISMATCH}\n\nThe Canonical String for this request should have been\n'${canonical}'\n\nThe String-to-Sign should have been\n'${toSign}'\n`,
  );
}

function parseAuthorization(header: string): Authorization | Refusal {
  if (!header.startsWith(`${ALGORITHM} `)) {
    return incomplete(`Unsupported AWS 'algorithm': '${header.split(' ', 1)[0]}'`);
  }
  const fields = new Map(
    header
      .slice(ALGORITHM.length)
      .split(',')
      .map((field): [string, string] => {
        const equals = field.indexOf('=');
        return [field.slice(0, equals).trim(), field.slice(equals + 1).trim()];
      }),
  );
  const [credential, signedHeaders, signature] = ['Credential', 'SignedHeaders', 'Signature'].map((name) =>
    fields.get(name),
  );
  if (!credential) return incomplete("Authorization header requires 'Credential' parameter.");
  if (!signedHeaders) return incomplete("Authorization header requires 'SignedHeaders' parameter.");
  if (!signature) return incomplete("Authorization header requires 'Signature' parameter.");
  const [accessKeyId, day, region, service, terminator] = credential.split('/');
  if (!accessKeyId || !day || !region || !service || !terminator) {
    return incomplete(
      `Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '${credential}'`,
    );
  }
  return { accessKeyId, day, region, service, terminator, signedHeaders, signature };
}

/** `host` and every `x-amz-*` header that was sent must be covered by the signature. */
function signedHeadersFault(authorization: Authorization, headers: IncomingHttpHeaders): Refusal | undefined {
  const signed = authorization.signedHeaders.split(';');
  if (!signed.includes('host')) {
    return invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");
  }
  for (const name in headers) {
    if (name.startsWith('x-amz-') && !signed.includes(name)) {
      return invalid(`'${name}' must be a 'SignedHeader' in the AWS Authorization.`);
    }
  }
  return undefined;
}

/**
 * The canonical request. The path is encoded once more than it came: that is the rule of every service but S3, and
 * makes `/@connections/a%3D` and `/%40connections/a%3D` two different, equally good things to sign. The body's hash is
 * always our own: a header that claims another one is not believed.
 */
function canonicalRequest(request: SignedRequest, signedHeaders: string): string {
  let canonical = `${request.method}\n${encodePath(request.path)}\n${canonicalQuery(request.query)}\n`;
  for (const name of signedHeaders.split(';')) {
    canonical += `${name}:${canonicalValue(request.headers[name])}\n`;
  }
  return `${canonical}\n${signedHeaders}\n${hash('sha256', request.body)}`;
}

function encodePath(path: string): string {
  return encodeURIComponent(path).replaceAll('%2F', '/');
}

function canonicalQuery(query: string): string {
  if (query === '') return '';
  return Array.from(
    new URLSearchParams(query),
    ([name, value]) => `${encodeRfc3986(name)}=${encodeRfc3986(value)}`,
  )
    .sort()
    .join('&');
}

function encodeRfc3986(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function canonicalValue(value: string | string[] | undefined): string {
  const text = headerText(value).trim();
  return text.includes('  ') ? text.replace(/ +/g, ' ') : text;
}

function headerText(value: string | string[] | undefined): string {
  return Array.isArray(value) ? value.join(',') : (value ?? '');
}

function scopeOf(authorization: Authorization): string {
  return `${authorization.day}/${authorization.region}/${authorization.service}/${authorization.terminator}`;
}

function parseTimestamp(text: string): number | undefined {
  const match = TIMESTAMP.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second] = match.map(Number);
  return Date.UTC(year ?? 0, (month ?? 0) - 1, day ?? 0, hour ?? 0, minute ?? 0, second ?? 0);
}

function formatTimestamp(atMs: number): string {
  return new Date(atMs).toISOString().replace(/[-:]|\.\d{3}/g, '');
}
