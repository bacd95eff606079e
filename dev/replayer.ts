/**
 * Goes through a dead-letter queue once. What is invoked again has left the queue; everything else is there as before.
 *
 * A message is deleted after Lambda has accepted its event, so a crash between the two leaves it to be replayed once
 * more, never to be lost.
 */
import { InvokeCommand, type LambdaClient } from '@aws-sdk/client-lambda';
import {
  ChangeMessageVisibilityCommand,
  DeleteMessageCommand,
  type Message,
  ReceiveMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import pMap from 'p-map';
import { type Foreign, type Replayable, readDeadLetter } from './dead-letter.ts';

export interface ReplayOptions {
  readonly sqs: SQSClient;
  readonly lambda: LambdaClient;
  readonly queueUrl: string;
  /** Nothing is invoked or deleted. */
  readonly dryRun: boolean;
  /** How many messages are replayed at most; others do not count. */
  readonly max: number;
  /** Told of every message once, in the order in which they came. */
  readonly report: (line: ReplayLine) => void;
}

/** What is told of a message: nothing of its payload but the id. */
export interface ReplayLine {
  readonly messageId: string;
  readonly result: 'replayed' | 'would-replay' | 'left';
  readonly kind: Replayable['kind'] | Foreign['kind'];
  readonly function?: string | undefined;
  readonly id?: string | undefined;
  /** Since it came into the queue. */
  readonly ageSeconds?: number | undefined;
  readonly error?: string | undefined;
  /** Bytes of what the function is invoked with; of the body, where that is not known. */
  readonly size: number;
  readonly attempts?: number | undefined;
  /** Of the invocation that failed. */
  readonly failedRequestId?: string | undefined;
  /** Of the invocation that takes its place. */
  readonly requestId?: string | undefined;
  /** Why it is left, or was replayed and is in the queue all the same. */
  readonly reason?: string | undefined;
}

export interface ReplaySummary {
  readonly replayed: number;
  readonly wouldReplay: number;
  readonly left: number;
  /** Replayed, and not deleted. */
  readonly notDeleted: number;
  /** Those that could not be shown again and stay hidden for up to `HIDDEN_SECONDS`. */
  readonly hidden: number;
}

/** What is read is hidden for so long, unless it is deleted or given back: longer than going through a queue takes. */
export const HIDDEN_SECONDS = 300;
/** As many as SQS hands out at once. */
const BATCH = 10;
/** With less than one second SQS asks some of its servers only, and a queue that holds messages may answer empty. */
const WAIT_SECONDS = 1;
/** Where so many answers bring nothing new, what was read first has become visible again: the queue was gone through. */
const MOST_IN_VAIN = 3;
const CONCURRENCY = 10;

export class Replayer {
  readonly #options: ReplayOptions;
  readonly #accountId: string | undefined;
  readonly #seen = new Set<string>();
  /** Messages that stay, by id, with their last receipts. */
  readonly #kept = new Map<string, string>();
  /** Of our own invocations: one that is given up at once comes back while we read. */
  readonly #invoked = new Set<string>();
  readonly #counts = { replayed: 0, wouldReplay: 0, left: 0, notDeleted: 0 };
  #taken = 0;

  constructor(options: ReplayOptions) {
    this.#options = options;
    [, this.#accountId] = /\/(\d{12})\/[^/]+$/.exec(options.queueUrl) ?? [];
  }

  /** Reads until the queue answers empty or `max` is reached. Errors of the queue are thrown; those of Lambda reported. */
  async run(): Promise<ReplaySummary> {
    let hidden = 0;
    try {
      await this.#readAll();
    } finally {
      hidden = await this.#giveBack();
    }
    return { ...this.#counts, hidden };
  }

  async #readAll(): Promise<void> {
    for (let vain = 0; vain < MOST_IN_VAIN && this.#taken < this.#options.max; ) {
      const messages = await this.#receive(Math.min(BATCH, this.#options.max - this.#taken));
      if (messages.length === 0) return;
      // Until each has had its turn, all are to be given back.
      for (const message of messages) this.#keep(message);
      let isNew = false;
      for (const message of messages) {
        const id = message.MessageId ?? '';
        if (this.#seen.has(id)) continue;
        this.#seen.add(id);
        isNew = true;
        this.#tell(message, await this.#handle(message));
      }
      vain = isNew ? 0 : vain + 1;
    }
  }

  async #receive(count: number): Promise<Message[]> {
    const { sqs, queueUrl } = this.#options;
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({
        QueueUrl: queueUrl,
        MaxNumberOfMessages: count,
        VisibilityTimeout: HIDDEN_SECONDS,
        WaitTimeSeconds: WAIT_SECONDS,
        MessageAttributeNames: ['All'],
        MessageSystemAttributeNames: ['SentTimestamp'],
      }),
    );
    return Messages;
  }

  #keep({ MessageId = '', ReceiptHandle = '' }: Message): void {
    // One that was replayed and could not be deleted is not shown again sooner than it must.
    if (this.#seen.has(MessageId) && !this.#kept.has(MessageId)) return;
    this.#kept.set(MessageId, ReceiptHandle);
  }

  async #handle(
    message: Message,
  ): Promise<Partial<ReplayLine> & Pick<ReplayLine, 'result' | 'kind' | 'size'>> {
    const letter = readDeadLetter(message, this.#accountId);
    if (letter.kind === 'unknown')
      return { ...letter, result: 'left', size: Buffer.byteLength(message.Body ?? '') };
    const { kind, functionArn, payload, id, error, attempts, requestId: failedRequestId } = letter;
    const size = Buffer.byteLength(payload);
    const told = { kind, function: functionArn, id, error, size, attempts, failedRequestId };
    if (failedRequestId !== undefined && this.#invoked.has(failedRequestId))
      return { ...told, result: 'left', reason: 'it was replayed by this run and was given up again' };
    this.#taken += 1;
    if (this.#options.dryRun) return { ...told, result: 'would-replay' };
    try {
      const requestId = await this.#invoke(letter);
      return { ...told, result: 'replayed', requestId, ...(await this.#delete(message)) };
    } catch (failure) {
      return { ...told, result: 'left', reason: `it could not be replayed: ${describe(failure)}` };
    }
  }

  /** @returns the id of the invocation, under which it would be given up again */
  async #invoke({ functionArn, payload }: Replayable): Promise<string | undefined> {
    const { $metadata } = await this.#options.lambda.send(
      new InvokeCommand({
        FunctionName: functionArn,
        InvocationType: 'Event',
        Payload: Buffer.from(payload),
      }),
    );
    if ($metadata.requestId !== undefined) this.#invoked.add($metadata.requestId);
    return $metadata.requestId;
  }

  async #delete({ MessageId = '', ReceiptHandle }: Message): Promise<Pick<ReplayLine, 'reason'>> {
    this.#kept.delete(MessageId);
    const { sqs, queueUrl } = this.#options;
    try {
      await sqs.send(new DeleteMessageCommand({ QueueUrl: queueUrl, ReceiptHandle }));
      return {};
    } catch (error) {
      this.#counts.notDeleted += 1;
      return { reason: `it is in the queue still: ${describe(error)}` };
    }
  }

  #tell(
    { MessageId: messageId = '', Attributes }: Message,
    line: Partial<ReplayLine> & Pick<ReplayLine, 'result' | 'kind' | 'size'>,
  ): void {
    const sentMs = Number(Attributes?.SentTimestamp);
    const ageSeconds = Number.isNaN(sentMs)
      ? undefined
      : Math.max(0, Math.round((Date.now() - sentMs) / 1000));
    const { result, kind, ...rest } = line;
    this.#counts[result === 'would-replay' ? 'wouldReplay' : result] += 1;
    this.#options.report({ messageId, result, kind, ageSeconds, ...rest });
  }

  /** Shows what stays to everybody again. @returns how many could not be */
  async #giveBack(): Promise<number> {
    const { sqs, queueUrl } = this.#options;
    const shown = await pMap(
      this.#kept.values(),
      async (ReceiptHandle) => {
        try {
          await sqs.send(
            new ChangeMessageVisibilityCommand({ QueueUrl: queueUrl, ReceiptHandle, VisibilityTimeout: 0 }),
          );
          return true;
        } catch (error) {
          // Visible it is what it shall be.
          return error instanceof Error && error.name === 'MessageNotInflight';
        }
      },
      { concurrency: CONCURRENCY },
    );
    return shown.filter((isShown) => !isShown).length;
  }
}

/** An error of an SDK, by its name and in its words; those do not quote payloads. */
export function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // Of several addresses that were tried there is a list of errors and no text.
  const { message, name } = error;
  const { code } = error as NodeJS.ErrnoException;
  return `${name}: ${message === '' ? (code ?? 'no message') : message}`;
}
