/** The three ways in which a publish request arrives, told apart by the form of the event; and their answers. */
import * as z from 'zod/mini';
import type { ErrorResult, PublishResult } from '../contract/publish.ts';
import { httpEventSchema } from './events.ts';

/** EventBridge's envelope (user guide, "Events in Amazon EventBridge"), as far as it is read here. */
const bridgeEventSchema = z.object({
  id: z.string().check(z.minLength(1)),
  source: z.string(),
  'detail-type': z.string(),
  detail: z.unknown(),
});

export type PublishEvent =
  /** Lambda invoke: the event is the request, and the result is the answer. */
  | { readonly kind: 'invoke'; readonly request: unknown }
  | { readonly kind: 'event-bridge'; readonly eventId: string; readonly request: unknown }
  | { readonly kind: 'http'; readonly request: unknown }
  /** A body over HTTP that holds no request. */
  | { readonly kind: 'unreadable'; readonly refusal: ErrorResult };

export interface PublishResponse {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** What came in. An event of neither form is taken for a request, which then is refused by field. */
export function readPublishEvent(event: unknown): PublishEvent {
  const bridge = bridgeEventSchema.safeParse(event);
  if (bridge.success) {
    const { id, detail } = bridge.data;
    return { kind: 'event-bridge', eventId: id, request: withDefaultId(detail, id) };
  }
  const http = httpEventSchema.safeParse(event);
  if (!http.success) return { kind: 'invoke', request: event };
  const { body = '', isBase64Encoded } = http.data;
  try {
    return { kind: 'http', request: JSON.parse(textOf(body, isBase64Encoded)) };
  } catch {
    // Whatever is wrong with it, bytes that are no UTF-8 or text that is no JSON, the caller is told the same.
    return { kind: 'unreadable', refusal: NOT_JSON };
  }
}

/** 200 with the result; a request that is refused as it stands 400, one that may be tried again 429 or 500. */
export function publishResponse(result: PublishResult): PublishResponse {
  return {
    statusCode: result.ok ? 200 : statusOf(result.error),
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(result),
  };
}

const NOT_JSON: ErrorResult = {
  ok: false,
  error: { code: 'invalid_payload', message: 'body: must be JSON', field: 'body', retryable: false },
};

function statusOf({ code, retryable }: ErrorResult['error']): number {
  if (code === 'rate_limited') return 429;
  // Also for what is not found: 404 would say that the URL is wrong.
  return retryable === true ? 500 : 400;
}

/** EventBridge delivers at least once, always with the same id (design D8, idempotency). */
function withDefaultId(detail: unknown, id: string): unknown {
  if (typeof detail !== 'object' || detail === null || Array.isArray(detail)) return detail;
  return { id, ...detail };
}

function textOf(body: string, isBase64Encoded: boolean): string {
  return isBase64Encoded
    ? new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(body, 'base64'))
    : body;
}
