/**
 * How EventBridge hands an event to a rule's target: again and again while that fails, and in the end to the target's
 * own dead-letter queue. What the function does with it is not the rule's affair any more.
 * Source: EventBridge user guide, "Retrying event delivery" and "Using dead-letter queues".
 */
import type { GatewayClock } from '../gateway/clock.ts';
import type { AcceptedEvent } from '../host/async-queue.ts';
import type { QueueMessage } from '../host/destinations.ts';
import { UnknownFunctionError } from '../host/errors.ts';
import type { RuleTarget } from '../template/deployment.ts';
import { transformed } from '../template/input-transformer.ts';

export interface RuleDeliveryOptions {
  readonly clock: GatewayClock;
  /** Accepts an event as JSON for a function, or throws; an error whose `retryable` is true is tried again. */
  readonly invoke: (
    functionName: string,
    payload: string,
    ruleArn: string,
  ) => Pick<AcceptedEvent, 'attempted'>;
  /** Puts a message into a queue, or throws. */
  readonly send: (message: QueueMessage, ruleArn: string) => void;
}

/** "Exponential back off"; AWS names no numbers. */
const FIRST_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 300_000;

type Exhausted = 'MaximumRetryAttempts' | 'MaximumEventAgeInSeconds';

export class RuleDelivery {
  readonly #options: RuleDeliveryOptions;
  #closed = false;

  constructor(options: RuleDeliveryOptions) {
    this.#options = options;
  }

  /** Hands `event`, or what the target has instead of it, to a target; resolves when it was tried there or is given up. */
  async deliver(ruleArn: string, target: RuleTarget, event: unknown): Promise<void> {
    const { clock, invoke } = this.#options;
    const payload = payloadOf(target, event);
    if (payload === undefined) {
      const error = new TransformError(ruleArn);
      return this.#giveUp(ruleArn, target, event, { error, retries: 0 });
    }
    const expires = clock.now() + target.maxAgeSeconds * 1000;
    for (let retries = 0; !this.#closed; retries += 1) {
      try {
        return await invoke(target.functionName, payload, ruleArn).attempted;
      } catch (error) {
        const pauseMs = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** retries);
        const exhausted =
          retries >= target.retries
            ? 'MaximumRetryAttempts'
            : clock.now() + pauseMs >= expires
              ? 'MaximumEventAgeInSeconds'
              : undefined;
        const hopeless = !isRetryable(error);
        if (hopeless || exhausted !== undefined)
          return this.#giveUp(ruleArn, target, event, {
            error,
            retries,
            ...(hopeless ? {} : { exhausted }),
          });
        await new Promise<void>((resolve) => clock.setTimeout(resolve, pauseMs));
      }
    }
  }

  /** No event that waits is tried again. */
  close(): void {
    this.#closed = true;
  }

  /** The queue gets the event itself, whatever the target was to have: as far as known, see docs/verify-on-aws.md. */
  #giveUp(
    ruleArn: string,
    { functionArn, deadLetterQueue }: RuleTarget,
    event: unknown,
    end: { readonly error: unknown; readonly retries: number; readonly exhausted?: Exhausted | undefined },
  ): void {
    if (deadLetterQueue === undefined) return;
    const text = (StringValue: string) => ({ DataType: 'String', StringValue });
    const { error, retries, exhausted } = end;
    const attributes = {
      RULE_ARN: text(ruleArn),
      TARGET_ARN: text(functionArn),
      ERROR_CODE: text(codeOf(error)),
      ERROR_MESSAGE: text(error instanceof Error ? error.message : String(error)),
      ...(exhausted === undefined ? {} : { EXHAUSTED_RETRY_CONDITION: text(exhausted) }),
      RETRY_ATTEMPTS: text(String(retries)),
    };
    try {
      this.#options.send({ queueArn: deadLetterQueue, body: JSON.stringify(event), attributes }, ruleArn);
    } catch {
      // On AWS a number in InvocationsFailedToBeSentToDlq: the event is lost, and nobody is told.
    }
  }
}

/** What a template made of an event is no JSON. AWS says nowhere what happens then; here it is noticed. */
class TransformError extends Error {
  override readonly name = 'TransformError';
  readonly code = 'transform_failed';
  readonly retryable = false;

  constructor(ruleArn: string) {
    super(`what the input transformer of ${ruleArn} makes of the event is no JSON`);
  }
}

/** Undefined where the transformer makes no JSON. */
function payloadOf({ input, transform }: RuleTarget, event: unknown): string | undefined {
  return transform === undefined ? JSON.stringify(input ?? event) : transformed(transform, event);
}

function isRetryable(error: unknown): boolean {
  return error instanceof Error && 'retryable' in error && error.retryable === true;
}

/** User guide, "Error codes" of dead-letter queues; the last is for what has none of its own. */
function codeOf(error: unknown): string {
  if (error instanceof UnknownFunctionError) return 'NO_RESOURCE';
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'access_denied' ? 'NO_PERMISSIONS' : 'SDK_CLIENT_ERROR';
}
