import { describe, expect, test } from 'vitest';
import { httpEventSchema, httpRequest, lowerCased, parameters } from '../../lambdas/wiring/events.ts';

const ALLOWED = 'https://app.example';
const EVIL = 'https://evil.example';

describe('a header', () => {
  test('is found by its lower-cased name, however the gateway spells it', () => {
    expect(lowerCased({ Origin: ALLOWED, 'USER-agent': 'x', none: undefined })).toEqual({
      origin: ALLOWED,
      'user-agent': 'x',
    });
  });

  test.each([
    ['merged by the gateway', { Origin: ALLOWED }, { Origin: [EVIL, ALLOWED] }],
    ['in two spellings', { Origin: EVIL, origin: ALLOWED }, {}],
    [
      'in two spellings with all their values',
      { Origin: EVIL, origin: ALLOWED },
      { Origin: [EVIL], origin: [ALLOWED] },
    ],
  ])('that came twice, %s, is neither of its values', (_how, last, all) => {
    expect(lowerCased(last, all as never)).toEqual({ origin: `${EVIL}, ${ALLOWED}` });
  });

  test('that came once is as it came, also where the gateway lists it', () => {
    expect(lowerCased({ Origin: ALLOWED }, { Origin: [ALLOWED] })).toEqual({ origin: ALLOWED });
    expect(lowerCased({ Origin: ALLOWED }, { Origin: [] })).toEqual({ origin: ALLOWED });
  });
});

describe('a parameter of the query', () => {
  test('of a WebSocket that is there twice is neither of its values', () => {
    expect(
      parameters({ EIO: '4', transport: 'websocket' }, { EIO: ['3', '4'], transport: ['websocket'] }),
    ).toEqual({
      EIO: '3,4',
      transport: 'websocket',
    });
  });

  test.each([
    ['EIO=4&transport=polling', { EIO: '4', transport: 'polling' }],
    ['EIO=3&EIO=4', { EIO: '3,4' }],
    ['transport=polling&transport=polling', { transport: 'polling,polling' }],
    ['sid=a&sid=b&sid=', { sid: 'a,b,' }],
    ['', {}],
    ['=1&&EIO', { '': '1', EIO: '' }],
  ])('of an HTTP request, %j, is read as %j', (rawQueryString, query) => {
    const event = {
      rawPath: '/',
      rawQueryString,
      requestContext: { requestId: 'r', http: { method: 'GET' } },
    };
    expect(httpRequest(httpEventSchema.parse(event)).query).toEqual(query);
  });

  test('is never a property that every object has', () => {
    const event = {
      rawPath: '/',
      rawQueryString: '__proto__=polluted&constructor=1',
      requestContext: { requestId: 'r', http: { method: 'GET' } },
    };
    const { query } = httpRequest(httpEventSchema.parse(event));
    expect(Object.getPrototypeOf(query)).toBe(Object.prototype);
    expect(Object.keys(query).sort()).toEqual(['__proto__', 'constructor']);
  });
});
