import { createHash, createHmac } from 'node:crypto';
import type { Credentials } from '../../../local/host/credentials.ts';

export interface RequestToSign {
  readonly url: URL;
  readonly method: string;
  readonly body: string;
  readonly credentials: Credentials;
  /** @default 'execute-api' */
  readonly service?: string;
  /** When it was signed. @default now */
  readonly at?: Date;
  /** Headers of the request, all of which are signed. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Headers of a request signed by Signature Version 4, written from the IAM guide's description. */
export function signedHeaders(request: RequestToSign): Record<string, string> {
  const { url, method, body, credentials, service = 'execute-api', at = new Date() } = request;
  const stamp = at.toISOString().replace(/[-:]|\.\d{3}/g, '');
  const scope = `${stamp.slice(0, 8)}/us-east-1/${service}/aws4_request`;
  const { sessionToken: token } = credentials;
  const session = token === undefined ? {} : { 'x-amz-security-token': token };
  const headers: Record<string, string> = {
    host: url.host,
    'x-amz-date': stamp,
    ...session,
    ...request.headers,
  };
  const names = Object.keys(headers).sort();
  const lines = names.map((name) => `${name}:${headers[name]}\n`).join('');
  const path = encodeURIComponent(url.pathname).replaceAll('%2F', '/');
  const canonical = [method, path, url.search.slice(1), lines, names.join(';'), sha256(body)].join('\n');
  const key = scope.split('/').reduce<string | Buffer>(hmac, `AWS4${credentials.secretAccessKey}`);
  const signature = hmac(key, ['AWS4-HMAC-SHA256', stamp, scope, sha256(canonical)].join('\n')).toString(
    'hex',
  );
  const { host: _host, ...sent } = headers;
  return {
    ...sent,
    authorization: `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`,
  };
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex');
const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
