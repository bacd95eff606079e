/** The messages of one standard queue: visible, invisible for a while after a receipt, gone at the end of retention. */
import { randomBytes, randomUUID } from 'node:crypto';
import type { GatewayClock } from '../gateway/clock.ts';
import type { QueueDefinition } from '../template/deployment.ts';

export interface MessageAttribute {
  readonly DataType: string;
  readonly StringValue?: string | undefined;
  /** Base64. */
  readonly BinaryValue?: string | undefined;
}

export type MessageAttributes = Readonly<Record<string, MessageAttribute>>;

export interface StoredMessage {
  readonly id: string;
  readonly body: string;
  readonly attributes: MessageAttributes;
  readonly senderId: string;
  readonly sentMs: number;
  /** When it can be received, the next time. */
  visibleMs: number;
  firstReceivedMs: number | undefined;
  receiveCount: number;
  /** Of the last receipt. */
  receiptHandle: string | undefined;
}

export interface MessageCounts {
  readonly visible: number;
  readonly notVisible: number;
  readonly delayed: number;
}

export class MessageQueue {
  readonly definition: QueueDefinition;
  readonly createdMs: number;
  readonly #clock: GatewayClock;
  readonly #messages = new Map<string, StoredMessage>();
  /** Receivers that wait for a message. */
  readonly #waiting = new Set<() => void>();

  constructor(definition: QueueDefinition, clock: GatewayClock) {
    this.definition = definition;
    this.#clock = clock;
    this.createdMs = clock.now();
  }

  send(
    message: Pick<StoredMessage, 'body' | 'attributes' | 'senderId'>,
    delaySeconds = this.definition.delaySeconds,
  ): StoredMessage {
    const sentMs = this.#clock.now();
    const stored: StoredMessage = {
      ...message,
      id: randomUUID(),
      sentMs,
      visibleMs: sentMs + delaySeconds * 1000,
      firstReceivedMs: undefined,
      receiveCount: 0,
      receiptHandle: undefined,
    };
    this.#messages.set(stored.id, stored);
    for (const wake of this.#waiting) wake();
    return stored;
  }

  /** Takes up to `count` messages, oldest first, out of sight for `visibilitySeconds`. */
  receive(count: number, visibilitySeconds = this.definition.visibilityTimeoutSeconds): StoredMessage[] {
    this.#expire();
    const nowMs = this.#clock.now();
    const received = [...this.#messages.values()]
      .filter(({ visibleMs }) => visibleMs <= nowMs)
      .slice(0, count);
    for (const message of received) {
      message.visibleMs = nowMs + visibilitySeconds * 1000;
      message.firstReceivedMs ??= nowMs;
      message.receiveCount += 1;
      message.receiptHandle = `${message.id}/${randomBytes(24).toString('base64')}`;
    }
    return received;
  }

  /** Resolves when a message was sent, becomes visible or is shown or hidden, or when the time is over. */
  async wait(seconds: number): Promise<void> {
    const nowMs = this.#clock.now();
    const soonest = Math.min(...[...this.#messages.values()].map(({ visibleMs }) => visibleMs));
    const ms = Math.max(0, Math.min(seconds * 1000, soonest - nowMs));
    let wake = () => {};
    const woken = new Promise<void>((resolve) => {
      wake = resolve;
    });
    const timer = this.#clock.setTimeout(wake, ms);
    this.#waiting.add(wake);
    await woken;
    this.#waiting.delete(wake);
    this.#clock.clearTimeout(timer);
  }

  /**
   * Deletes by a receipt handle; false for a text that never was one. An older receipt of the message does as well, and
   * a message that is gone already is no error (SQS API reference, "DeleteMessage": standard queues).
   */
  delete(receiptHandle: string): boolean {
    const [id, ...rest] = receiptHandle.split('/');
    if (id === undefined || rest.length === 0) return false;
    this.#messages.delete(id);
    return true;
  }

  /**
   * Hides a message that was received for `seconds` from now; 0 shows it again at once. An older receipt of the message
   * does as well. Otherwise says why not: the text never was a receipt, the message is gone, or it is visible already.
   */
  changeVisibility(receiptHandle: string, seconds: number): 'changed' | 'malformed' | 'gone' | 'visible' {
    this.#expire();
    const [id, ...rest] = receiptHandle.split('/');
    if (id === undefined || rest.length === 0) return 'malformed';
    const message = this.#messages.get(id);
    if (message === undefined) return 'gone';
    const nowMs = this.#clock.now();
    if (message.visibleMs <= nowMs) return 'visible';
    message.visibleMs = nowMs + seconds * 1000;
    for (const wake of this.#waiting) wake();
    return 'changed';
  }

  counts(): MessageCounts {
    this.#expire();
    const nowMs = this.#clock.now();
    const all = [...this.#messages.values()];
    const hidden = all.filter(({ visibleMs }) => visibleMs > nowMs);
    const delayed = hidden.filter(({ receiveCount }) => receiveCount === 0).length;
    return { visible: all.length - hidden.length, notVisible: hidden.length - delayed, delayed };
  }

  /** Ends the waiting of every receiver. */
  close(): void {
    for (const wake of this.#waiting) wake();
  }

  #expire(): void {
    const oldest = this.#clock.now() - this.definition.retentionSeconds * 1000;
    for (const { id, sentMs } of this.#messages.values()) if (sentMs <= oldest) this.#messages.delete(id);
  }
}
