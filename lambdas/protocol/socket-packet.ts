/** Socket.IO v5 packets as Engine.IO text frames, over the official parser. */
import { Decoder, Encoder, type Packet, PacketType } from 'socket.io-parser';
import { isNestedTooDeep, MAX_NESTING } from './nesting.ts';
import { ProtocolError } from './protocol-error.ts';

export { PacketType };

/** A packet a client sent that needs no binary attachment. */
export interface SocketPacket {
  readonly type: PacketType;
  readonly namespace: string;
  readonly id?: number;
  readonly data?: unknown;
}

/**
 * What stands before the JSON of a packet (socket.io-protocol v5, "Packet encoding"): its type, the number of its
 * attachments, its namespace and its id. The official parser reads ids of any length, blanks included, and takes its time
 * over them.
 */
const HEAD = /^\d(?:\d{1,2}-)?(?:\/[^,]*(?:,|$))?\d{0,512}(?:$|[[{])/;

const encoder = new Encoder();

/**
 * The frames of a packet, in the order they must reach the client. Binary values travel as `b<base64>` text
 * frames after the packet, because API Gateway posts text only; the stock client decodes both forms.
 */
export function socketFrames(packet: SocketPacket): string[] {
  const encoded = encoder.encode({
    type: packet.type,
    nsp: packet.namespace,
    ...(packet.data === undefined ? {} : { data: packet.data }),
    ...(packet.id === undefined ? {} : { id: packet.id }),
  } as Packet) as readonly (string | Uint8Array | ArrayBuffer)[];
  return encoded.map((part) =>
    typeof part === 'string' ? `4${part}` : `b${bytesOf(part).toString('base64')}`,
  );
}

function bytesOf(part: Uint8Array | ArrayBuffer): Buffer {
  return part instanceof ArrayBuffer
    ? Buffer.from(part)
    : Buffer.from(part.buffer, part.byteOffset, part.byteLength);
}

/**
 * Decodes the text after an Engine.IO message prefix.
 * @throws ProtocolError for junk, and for packets with binary attachments: header and attachments reach Lambda as
 *   separate, unordered invocations (design D13), so they cannot be put together here.
 */
export function decodeSocketPacket(text: string): SocketPacket {
  const packet = new PacketAssembler().add(text);
  if (packet === undefined) {
    throw new ProtocolError(
      'parse error',
      'binary attachments from a client are not supported over WebSocket',
    );
  }
  return packet;
}

/**
 * Puts packets together from parts in their order. A client that polls sends a packet's attachments right after it, but
 * mostly in the next request: it begins one as soon as it has the packet.
 */
export class PacketAssembler {
  readonly #decoder = new Decoder();
  #decoded: Packet | undefined;
  #incomplete = false;

  constructor() {
    this.#decoder.on('decoded', (packet: Packet) => {
      this.#decoded = packet;
    });
  }

  /** Whether an attachment is due. */
  get incomplete(): boolean {
    return this.#incomplete;
  }

  /**
   * The packet that this part makes complete.
   * @throws ProtocolError for junk, an attachment nothing announced, text where an attachment is due, and JSON that is
   *   nested deeper than 128 levels.
   */
  add(part: string | Uint8Array): SocketPacket | undefined {
    this.#decoded = undefined;
    if (typeof part === 'string') {
      if (!HEAD.test(part)) throw new ProtocolError('parse error', 'the message is not a Socket.IO packet');
      if (isNestedTooDeep(part))
        throw new ProtocolError('parse error', `the packet is nested deeper than ${MAX_NESTING} levels`);
    }
    try {
      this.#decoder.add(typeof part === 'string' ? part : Buffer.from(part));
    } catch (cause) {
      throw new ProtocolError('parse error', 'the message is not a Socket.IO packet', { cause });
    }
    const packet: Packet | undefined = this.#decoded;
    this.#incomplete = packet === undefined;
    return packet === undefined ? undefined : socketPacket(packet);
  }
}

/** @throws ProtocolError for an event without data: the parser looks at what is there, not whether it is. */
function socketPacket({ type, nsp: namespace, id, data }: Packet): SocketPacket {
  if (type === PacketType.EVENT && data === undefined)
    throw new ProtocolError('parse error', 'an event has no name');
  return {
    type,
    namespace,
    ...(id === undefined ? {} : { id }),
    ...(data === undefined ? {} : { data }),
  };
}

/**
 * Puts binary values back in place of their placeholders: the reverse of what an encoder took apart.
 * @throws ProtocolError where a placeholder names an attachment that is not there.
 */
export function withAttachments(values: readonly unknown[], attachments: readonly Uint8Array[]): unknown[] {
  if (attachments.length === 0) return [...values];
  let data: unknown[] | undefined;
  const decoder = new Decoder();
  decoder.on('decoded', (packet: Packet) => {
    data = packet.data as unknown[];
  });
  try {
    decoder.add(`5${attachments.length}-${JSON.stringify(['attachments', ...values])}`);
    for (const attachment of attachments) decoder.add(Buffer.from(attachment));
  } catch (cause) {
    throw new ProtocolError('parse error', 'a placeholder names an attachment that is not there', { cause });
  }
  if (data === undefined)
    throw new ProtocolError('parse error', 'the attachments do not fit the placeholders');
  return data.slice(1);
}
