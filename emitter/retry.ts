import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { PublishRequestInput, PublishResult } from '../lambdas/contract/publish.ts';
import { PublishError } from './errors.ts';
import { type Transport, waitOf } from './transport.ts';

export interface RetryPolicy {
  /** How often a request is sent at most. @default 3 */
  readonly tries?: number;
  /** The pause before the second try is a random part of this, and of twice as much before each next. ms, @default 100 */
  readonly delayMs?: number;
  /** Longest pause. ms, @default 2000 */
  readonly maxDelayMs?: number;
}

/** Failures after which the request has certainly not been carried out. */
const NOT_CARRIED_OUT = new Set(['throttled', 'unreachable']);

/**
 * Sends again what failed and may succeed: retryable errors only, a bounded number of times, with full jitter.
 * Every emit gets an id that stays the same over its tries, so that a deployment can tell a repetition. A volatile emit
 * is tried once, since late it is worth nothing; an application's call, and an emit that waits for answers, only where
 * it has certainly not run, since it may not be repeatable.
 */
export function retrying(transport: Transport, policy: RetryPolicy = {}): Transport {
  const { tries = 3, delayMs = 100, maxDelayMs = 2_000 } = policy;
  return {
    async send(request) {
      const identified = withId(request);
      const most = isVolatile(request) ? 1 : tries;
      for (let tried = 1; ; tried += 1) {
        const outcome = await attempt(transport, identified);
        if (tried >= most || !mayRepeat(request, outcome)) return settle(outcome);
        await delay(Math.random() * Math.min(maxDelayMs, delayMs * 2 ** (tried - 1)));
      }
    },
  };
}

type Outcome =
  | { readonly kind: 'answer'; readonly answer: PublishResult }
  | { readonly kind: 'failure'; readonly error: unknown };

async function attempt(transport: Transport, request: PublishRequestInput): Promise<Outcome> {
  try {
    return { kind: 'answer', answer: await transport.send(request) };
  } catch (error) {
    return { kind: 'failure', error };
  }
}

function settle(outcome: Outcome): PublishResult {
  if (outcome.kind === 'failure') throw outcome.error;
  return outcome.answer;
}

function mayRepeat(request: PublishRequestInput, outcome: Outcome): boolean {
  const error = errorOf(outcome);
  if (error?.retryable !== true) return false;
  return (request.op !== 'app' && waitOf(request) === 0) || NOT_CARRIED_OUT.has(error.code);
}

function errorOf(
  outcome: Outcome,
): { readonly code: string; readonly retryable?: boolean | undefined } | undefined {
  if (outcome.kind === 'failure') return outcome.error instanceof PublishError ? outcome.error : undefined;
  return outcome.answer.ok ? undefined : outcome.answer.error;
}

function withId(request: PublishRequestInput): PublishRequestInput {
  return request.op === 'emit' && request.id === undefined ? { ...request, id: randomUUID() } : request;
}

function isVolatile(request: PublishRequestInput): boolean {
  return request.op === 'emit' && request.flags?.volatile === true;
}
