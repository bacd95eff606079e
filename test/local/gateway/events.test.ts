import { afterEach, describe, expect, it } from 'vitest';
import { commonLogTime, connectEvent } from '../../../local/gateway/event.ts';
import { Identifiers, isConnectionId } from '../../../local/gateway/identifiers.ts';
import { ManualClock, TestGateway } from './support.ts';

let gateway: TestGateway | undefined;

afterEach(async () => {
  await gateway?.stop();
  gateway = undefined;
});

const ID = /^[\w-]{11}C[\w-]{3}=$/;
const REQUEST_ID = /^[\w-]{11}F[\w-]{3}=$/;

describe('the CONNECT event', () => {
  it('has the documented keys in the documented order, and no others', async () => {
    gateway = await TestGateway.start();
    await gateway.open('/prod?EIO=4&transport=websocket', [], { 'User-Agent': 'test' });
    const event = await gateway.connects.next();
    expect(Object.keys(event)).toEqual([
      'headers',
      'multiValueHeaders',
      'queryStringParameters',
      'multiValueQueryStringParameters',
      'requestContext',
      'isBase64Encoded',
    ]);
    expect(Object.keys(event.requestContext)).toEqual([
      'routeKey',
      'eventType',
      'extendedRequestId',
      'requestTime',
      'messageDirection',
      'stage',
      'connectedAt',
      'requestTimeEpoch',
      'identity',
      'requestId',
      'domainName',
      'connectionId',
      'apiId',
    ]);
    expect(event.requestContext).toMatchObject({
      routeKey: '$connect',
      eventType: 'CONNECT',
      messageDirection: 'IN',
      stage: 'prod',
      identity: { userAgent: 'test', sourceIp: '127.0.0.1' },
      domainName: 'a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com',
      apiId: 'a1b2c3d4e5',
      connectionId: expect.stringMatching(ID),
      requestId: expect.stringMatching(REQUEST_ID),
    });
    expect(event.requestContext.extendedRequestId).toBe(event.requestContext.requestId);
    expect(event.isBase64Encoded).toBe(false);
    expect(JSON.stringify(event)).not.toContain('null');
  });

  it('leaves out what the client did not send', async () => {
    gateway = await TestGateway.start();
    await gateway.upgrade('/prod?');
    const event = await gateway.connects.next();
    expect(Object.keys(event)).toEqual(['headers', 'multiValueHeaders', 'requestContext', 'isBase64Encoded']);
    expect(event.requestContext.identity).toEqual({ sourceIp: '127.0.0.1' });
  });

  it('shows headers in the spelling of the client, sorted without regard to case, with those of the edge', async () => {
    gateway = await TestGateway.start();
    await gateway.upgrade('/prod', {
      oRiGiN: 'https://a.example',
      Cookie: 'a=1',
      'x-two': 'b',
      'X-Forwarded-For': '1.2.3.4',
    });
    const { headers, multiValueHeaders } = await gateway.connects.next();
    expect(Object.keys(headers as object)).toEqual([
      'Cookie',
      'Host',
      'oRiGiN',
      'Sec-WebSocket-Key',
      'Sec-WebSocket-Version',
      'X-Amzn-Trace-Id',
      'X-Forwarded-For',
      'X-Forwarded-Port',
      'X-Forwarded-Proto',
      'x-two',
    ]);
    expect(headers).toMatchObject({
      Host: 'a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com',
      'X-Amzn-Trace-Id': expect.stringMatching(/^Root=1-[0-9a-f]{8}-[0-9a-f]{24}$/),
      'X-Forwarded-For': '1.2.3.4, 127.0.0.1',
      'X-Forwarded-Port': '443',
      'X-Forwarded-Proto': 'https',
    });
    expect(multiValueHeaders).toMatchObject({ oRiGiN: ['https://a.example'] });
  });

  it('keeps every value of a repeated header or parameter, and the last one in the single form', () => {
    const context = {
      connectionId: 'AAAAAAAAAAAAAAA=',
      connectedAt: 0,
      identity: { sourceIp: '::1' },
      stage: 'prod',
      domainName: 'd',
      apiId: 'a',
    };
    const handshake = { rawHeaders: ['X-A', '1', 'x-a', '2'], query: 'q=1&q=%202&r=' };
    const event = connectEvent(context, { requestId: 'r', at: 0 }, handshake);
    expect(event.headers).toMatchObject({ 'X-A': '2' });
    expect(event.multiValueHeaders).toMatchObject({ 'X-A': ['1', '2'] });
    expect(event.queryStringParameters).toEqual({ q: ' 2', r: '' });
    expect(event.multiValueQueryStringParameters).toEqual({ q: ['1', ' 2'], r: [''] });
  });
});

describe('the MESSAGE event', () => {
  it('has the documented keys in the documented order: no headers, no query', async () => {
    const clock = new ManualClock();
    gateway = await TestGateway.start({ clock });
    const client = await gateway.open('/prod?EIO=4', [], { 'User-Agent': 'test' });
    clock.advance(1_500);
    client.ws.send('42["e"]');
    const event = await gateway.messages.next();
    expect(Object.keys(event)).toEqual(['requestContext', 'body', 'isBase64Encoded']);
    expect(Object.keys(event.requestContext)).toEqual([
      'routeKey',
      'messageId',
      'eventType',
      'extendedRequestId',
      'requestTime',
      'messageDirection',
      'stage',
      'connectedAt',
      'requestTimeEpoch',
      'identity',
      'requestId',
      'domainName',
      'connectionId',
      'apiId',
    ]);
    const connected = (await gateway.connects.next()).requestContext;
    expect(event.body).toBe('42["e"]');
    expect(event.requestContext).toMatchObject({
      routeKey: '$default',
      eventType: 'MESSAGE',
      requestTime: '27/Nov/2026:08:09:11 +0000',
      connectedAt: connected.connectedAt,
      requestTimeEpoch: clock.now(),
      connectionId: connected.connectionId,
      messageId: expect.stringMatching(/^[\w-]{15}=$/),
    });
    expect(event.requestContext.requestId).not.toBe(connected.requestId);
    expect(event.requestContext.extendedRequestId).toBe(event.requestContext.requestId);
  });

  it('carries text as it was sent, the empty one too', async () => {
    gateway = await TestGateway.start();
    const { ws } = await gateway.open();
    ws.send('');
    expect((await gateway.messages.next()).body).toBe('');
    ws.send('añ€😀');
    expect((await gateway.messages.next()).body).toBe('añ€😀');
  });
});

describe('the DISCONNECT event', () => {
  it('has the documented keys in the documented order, with blank headers around Host', async () => {
    gateway = await TestGateway.start();
    const client = await gateway.open('/prod', [], { 'User-Agent': 'test' });
    client.ws.close(4001, 'enough');
    const event = await gateway.disconnects.next();
    const Host = 'a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com';
    expect(JSON.stringify(event.headers)).toBe(
      JSON.stringify({ Host, 'x-api-key': '', 'X-Forwarded-For': '', 'x-restapi': '' }),
    );
    expect(event.multiValueHeaders).toEqual({
      Host: [Host],
      'x-api-key': [''],
      'X-Forwarded-For': [''],
      'x-restapi': [''],
    });
    expect(Object.keys(event)).toEqual(['headers', 'multiValueHeaders', 'requestContext', 'isBase64Encoded']);
    expect(Object.keys(event.requestContext)).toEqual([
      'routeKey',
      'disconnectStatusCode',
      'eventType',
      'extendedRequestId',
      'requestTime',
      'messageDirection',
      'disconnectReason',
      'stage',
      'connectedAt',
      'requestTimeEpoch',
      'identity',
      'requestId',
      'domainName',
      'connectionId',
      'apiId',
    ]);
    expect(event.requestContext).toMatchObject({
      routeKey: '$disconnect',
      eventType: 'DISCONNECT',
      disconnectStatusCode: 4001,
      disconnectReason: 'enough',
    });
  });
});

describe('identifiers', () => {
  const identifiers = new Identifiers('a1b2c3d4e5', 'eu-west-1', new ManualClock());

  it('are 16 characters of canonical URL-safe base64 over 11 bytes', () => {
    for (const id of Array.from({ length: 500 }, () => identifiers.connection())) {
      const bytes = Buffer.from(id, 'base64url');
      expect(bytes).toHaveLength(11);
      expect(`${bytes.toString('base64url')}=`).toBe(id);
      expect(isConnectionId(id)).toBe(true);
    }
  });

  it('are C for connections and F for requests, after eight characters of time and three of the cell', () => {
    expect(identifiers.connection()).toMatch(ID);
    expect(identifiers.request()).toMatch(REQUEST_ID);
    expect(identifiers.connection().slice(8, 11)).toBe(identifiers.request().slice(8, 11));
  });

  it('do not repeat, even while time stands still', () => {
    const ids = Array.from({ length: 50_000 }, () => identifiers.connection());
    expect(new Set(ids).size).toBe(ids.length);
  });

  it.each([
    'WDGT8fY4joECJrQ=test',
    'WDGT8fY4joECJrQ',
    'WDGT8fY4joECJr+=',
    '',
    'f47ac10b-58cc-4372-a567-0e02b2c3d479',
  ])('are told from %j', (text) => {
    expect(isConnectionId(text)).toBe(false);
  });
});

it('writes times in the Common Log Format, in UTC', () => {
  expect(commonLogTime(1708326702790)).toBe('19/Feb/2024:07:11:42 +0000');
});
