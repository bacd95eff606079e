/**
 * Walks the frame headers of one client's byte stream (RFC 6455 §5.2) and reports the first data frame that is too
 * long. `ws` limits messages, but API Gateway limits single frames as well, and a message may be longer than a frame;
 * only the headers tell the two apart. Payloads are skipped, never copied.
 */
export class FrameGauge {
  readonly #maxFrameBytes: number;
  readonly #header = Buffer.alloc(10);
  #have = 0;
  #need = 2;
  #skip = 0;

  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** Takes the next bytes of the stream; true as soon as a header announces a data frame over the limit. */
  exceeds(chunk: Buffer): boolean {
    let at = 0;
    while (at < chunk.length) {
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, chunk.length - at);
        this.#skip -= step;
        at += step;
        continue;
      }
      at += this.#takeHeader(chunk, at);
      if (this.#have === this.#need && this.#endHeader()) return true;
    }
    return false;
  }

  #takeHeader(chunk: Buffer, at: number): number {
    const step = Math.min(this.#need - this.#have, chunk.length - at);
    chunk.copy(this.#header, this.#have, at, at + step);
    this.#have += step;
    if (this.#have === 2) this.#need = 2 + lengthBytes(this.#header.readUInt8(1) & 0x7f);
    return step;
  }

  /** Reads a complete header and prepares to skip its mask and payload. */
  #endHeader(): boolean {
    const opcode = this.#header.readUInt8(0) & 0x0f;
    const second = this.#header.readUInt8(1);
    const length = this.#payloadLength(second & 0x7f);
    this.#skip = length + ((second & 0x80) === 0 ? 0 : 4);
    this.#have = 0;
    this.#need = 2;
    return opcode < 0x8 && length > this.#maxFrameBytes;
  }

  #payloadLength(short: number): number {
    if (short === 126) return this.#header.readUInt16BE(2);
    if (short === 127) return Number(this.#header.readBigUInt64BE(2));
    return short;
  }
}

function lengthBytes(short: number): number {
  if (short === 126) return 2;
  return short === 127 ? 8 : 0;
}
