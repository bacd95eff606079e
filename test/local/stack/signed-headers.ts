import { createHash, createHmac } from 'node:crypto';
import type { Credentials } from '../../../local/host/credentials.ts';

export interface RequestToSign {
  readonly url: URL;
  readonly method: string;
  readonly body: string;
  readonly credentials: Credentials;
}

/** Headers of a request signed for `execute-api` by Signature Version 4, written from the IAM guide's description. */
export function signedHeaders({ url, method, body, credentials }: RequestToSign): Record<string, string> {
  const stamp = new Date().toISOString().replace(/[-:]|\.\d{3}/g, '');
  const scope = `${stamp.slice(0, 8)}/us-east-1/execute-api/aws4_request`;
  const headers = { host: url.host, 'x-amz-date': stamp };
  const names = Object.keys(headers).sort();
  const lines = names.map((name) => `${name}:${headers[name as keyof typeof headers]}\n`).join('');
  const canonical = [method, url.pathname, url.search.slice(1), lines, names.join(';'), sha256(body)].join(
    '\n',
  );
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
