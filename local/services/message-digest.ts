/** The digests with which SQS tells a sender what it got. Source: SQS guide, "Calculating the MD5 message digest". */
import { createHash } from 'node:crypto';
import type { MessageAttributes } from './message-queue.ts';

const STRING_TRANSPORT = 1;
const BINARY_TRANSPORT = 2;

export function md5(content: string | Buffer): string {
  return createHash('md5').update(content).digest('hex');
}

/** Of the attributes in the order of their names; undefined where there are none. */
export function attributesMd5(attributes: MessageAttributes): string | undefined {
  const names = Object.keys(attributes).sort();
  if (names.length === 0) return undefined;
  const parts = names.flatMap((name) => {
    const { DataType = '', StringValue, BinaryValue = '' } = attributes[name] ?? {};
    const value = StringValue === undefined ? Buffer.from(BinaryValue, 'base64') : Buffer.from(StringValue);
    const transport = StringValue === undefined ? BINARY_TRANSPORT : STRING_TRANSPORT;
    return [
      measured(Buffer.from(name)),
      measured(Buffer.from(DataType)),
      Buffer.of(transport),
      measured(value),
    ];
  });
  return md5(Buffer.concat(parts));
}

function measured(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
