import { randomUUID } from 'node:crypto';
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http';

/**
 * Reads a body; undefined when it is larger than `limit` bytes (the rest is read and thrown away). It resolves in the
 * turn in which the body ends: posts reach a connection in the order in which their bodies arrived.
 * @throws where the client hangs up before the end
 */
export function readBody(request: IncomingMessage, limit: number): Promise<Buffer | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= limit) chunks.push(chunk);
      else chunks.length = 0;
    });
    request.on('end', () => resolve(bytes <= limit ? Buffer.concat(chunks, bytes) : undefined));
    request.on('error', reject);
    request.on('close', () => reject(new Error('the client hung up before the end of its request')));
  });
}

/** Answers with JSON text, as an AWS service: with a request id, unless `headers` has one. */
export function sendJsonText(
  response: ServerResponse,
  status: number,
  body: string,
  headers: OutgoingHttpHeaders = {},
): void {
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'x-amzn-requestid': randomUUID(),
    ...headers,
  });
  response.end(body);
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: OutgoingHttpHeaders = {},
): void {
  sendJsonText(response, status, JSON.stringify(body), headers);
}
