import { describe, expect, test } from 'vitest';
import type { PublishResult } from '../../lambdas/contract/publish.ts';
import { publishResponse, readPublishEvent } from '../../lambdas/wiring/publish-event.ts';

const request = { op: 'emit', rooms: ['a'], event: 'x' };

const bridgeEvent = (detail: unknown) => ({
  version: '0',
  id: '6f3c6f4c-0000-4000-8000-000000000000',
  'detail-type': 'Publish Request',
  source: 'socketbus.publish',
  account: '123456789012',
  time: '2026-01-01T00:00:00Z',
  region: 'us-east-1',
  resources: [],
  detail,
});

const httpRequest = (body: string | undefined, isBase64Encoded = false) => ({
  version: '2.0',
  rawPath: '/publish',
  rawQueryString: '',
  headers: { 'content-type': 'application/json' },
  requestContext: { requestId: 'r', http: { method: 'POST', sourceIp: '127.0.0.1' } },
  ...(body === undefined ? {} : { body }),
  isBase64Encoded,
});

describe('a publish event', () => {
  test.each([[request], [{}], [null], ['text'], [[]], [7], [undefined]])(
    'that is neither of EventBridge nor of HTTP is the request itself: %j',
    (event) => {
      expect(readPublishEvent(event)).toEqual({ kind: 'invoke', request: event });
    },
  );

  test('stays a direct request where it has a detail of its own', () => {
    const event = { ...request, id: 'mine', detail: { op: 'revoke' } };
    expect(readPublishEvent(event)).toEqual({ kind: 'invoke', request: event });
  });

  test('of EventBridge has the request in its detail, with its own id where that has none', () => {
    const { id } = bridgeEvent({});
    expect(readPublishEvent(bridgeEvent(request))).toEqual({
      kind: 'event-bridge',
      eventId: id,
      request: { ...request, id },
    });
    expect(readPublishEvent(bridgeEvent({ ...request, id: 'mine' }))).toMatchObject({
      request: { ...request, id: 'mine' },
    });
  });

  test.each([['text'], [null], [[1]], [7]])(
    'of EventBridge leaves a detail that is no object as it is: %j',
    (detail) => {
      expect(readPublishEvent(bridgeEvent(detail))).toMatchObject({ kind: 'event-bridge', request: detail });
    },
  );

  test('of HTTP has the request in its body, encoded or not', () => {
    const text = JSON.stringify({ ...request, args: ['ñandú'] });
    const expected = { kind: 'http', request: { ...request, args: ['ñandú'] } };
    expect(readPublishEvent(httpRequest(text))).toEqual(expected);
    expect(readPublishEvent(httpRequest(Buffer.from(text).toString('base64'), true))).toEqual(expected);
  });

  test.each([
    ['no body', httpRequest(undefined)],
    ['an empty body', httpRequest('')],
    ['text that is no JSON', httpRequest('{"op"')],
    ['bytes that are no text', httpRequest(Buffer.from([0x22, 0xff, 0x22]).toString('base64'), true)],
  ])('of HTTP with %s is refused before anybody looks for a request in it', (_what, event) => {
    expect(readPublishEvent(event)).toMatchObject({
      kind: 'unreadable',
      refusal: { ok: false, error: { code: 'invalid_payload', field: 'body', retryable: false } },
    });
  });
});

describe('the answer over HTTP', () => {
  const refused = (code: string, retryable: boolean): PublishResult => ({
    ok: false,
    error: { code, message: 'no', retryable },
  });

  test.each<[PublishResult, number]>([
    [{ ok: true, result: { sockets: 1 } }, 200],
    [refused('invalid_payload', false), 400],
    [refused('not_found', false), 400],
    [refused('rate_limited', true), 429],
    [refused('internal', true), 500],
  ])('to %j is %i with the result as it is', (result, statusCode) => {
    expect(publishResponse(result)).toEqual({
      statusCode,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(result),
    });
  });
});
