/** Whoever issues tokens: key pairs, and a server on loopback that publishes the public ones. */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';

export interface Issuer {
  readonly publicKey: JWK;
  /** A token with exactly these claims. */
  sign(claims: Record<string, unknown>, header?: Record<string, unknown>): Promise<string>;
}

export async function issuer(kid: string, alg = 'ES256'): Promise<Issuer> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  return {
    publicKey: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' },
    sign: (claims, header = {}) => signed(privateKey, claims, { alg, kid, ...header }),
  };
}

function signed(
  key: CryptoKey,
  claims: Record<string, unknown>,
  header: { readonly alg: string; readonly [name: string]: unknown },
): Promise<string> {
  return new SignJWT(claims).setProtectedHeader(header).sign(key);
}

export interface KeyServer {
  readonly url: string;
  /** How often it was asked. */
  requests: number;
  answer: (response: ServerResponse) => void;
  /** Answers with these keys from now on. */
  publish(...issuers: readonly Issuer[]): void;
  close(): void;
}

export async function keyServer(): Promise<KeyServer> {
  const http = createServer((_request, response) => {
    served.requests += 1;
    served.answer(response);
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const served: KeyServer = {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/.well-known/jwks.json`,
    requests: 0,
    answer: (response) => response.writeHead(404).end(),
    publish: (...issuers) => {
      const body = JSON.stringify({ keys: issuers.map(({ publicKey }) => publicKey) });
      served.answer = (response) => response.end(body);
    },
    close: () => {
      http.close();
      http.closeAllConnections();
    },
  };
  return served;
}
