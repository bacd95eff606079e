/** A server that answers 200 to every request, as API Gateway does to a post, and is as cheap as it can be. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

const ANSWER = Buffer.from(
  [
    'HTTP/1.1 200 OK',
    'x-amzn-requestid: 5fd9e6b2-9d4c-4f0c-8f2b-0a8a3e6f1c11',
    'x-amz-apigw-id: TXzPWFkkjoEF92g=',
    'content-type: application/json',
    'content-length: 0',
    '\r\n',
  ].join('\r\n'),
);
const HEAD_END = Buffer.from('\r\n\r\n');

function serve(socket: Socket): void {
  let rest: Buffer = Buffer.alloc(0);
  socket.setNoDelay(true);
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let from = 0;
    for (let end = endOfRequest(bytes, from); end !== undefined; end = endOfRequest(bytes, from)) {
      socket.write(ANSWER);
      from = end;
    }
    rest = bytes.subarray(from);
  });
}

/** Undefined where it is not all there yet. */
function endOfRequest(bytes: Buffer, from: number): number | undefined {
  const head = bytes.indexOf(HEAD_END, from);
  if (head === -1) return undefined;
  const [, length = '0'] = /\r\ncontent-length: *(\d+)/i.exec(bytes.toString('latin1', from, head)) ?? [];
  const end = head + HEAD_END.length + Number(length);
  return end <= bytes.length ? end : undefined;
}

const server = createServer(serve);
await once(server.listen(0, '127.0.0.1'), 'listening');
process.send?.((server.address() as AddressInfo).port);
await once(process, 'disconnect');
process.exit();
