import { GetConnectionCommand, PostToConnectionCommand } from '@aws-sdk/client-apigatewaymanagementapi';
import { afterEach, describe, expect, it } from 'vitest';
import { ACCESS_KEY, type Client, CREDENTIALS, ManualClock, TestGateway } from './support.ts';

let gateway: TestGateway | undefined;

afterEach(async () => {
  await gateway?.stop();
  gateway = undefined;
});

async function opened(options: Parameters<typeof TestGateway.start>[0] = {}) {
  gateway = await TestGateway.start(options);
  const client: Client = await gateway.open('/prod', [], { 'User-Agent': 'test' });
  const id = (await gateway.connects.next()).requestContext.connectionId;
  return { gw: gateway, client, id, path: `/@connections/${encodeURIComponent(id)}` };
}

const UNKNOWN = 'AAAAAAAAAAACAAA=';

describe('POST', () => {
  it('answers 200 with an empty body and the headers of AWS, and sends one text message', async () => {
    const { gw, client, path } = await opened();
    const binary = new Promise((resolve) => client.ws.once('message', (_, isBinary) => resolve(isBinary)));
    const answer = await gw.call('POST', path, '42["añ€"]');
    expect(answer).toMatchObject({ status: 200, body: '' });
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json',
      'content-length': '0',
      'x-amzn-requestid': expect.stringMatching(/^[0-9a-f-]{36}$/),
      'x-amz-apigw-id': expect.stringMatching(/^[\w-]{11}F[\w-]{3}=$/),
      'x-amzn-trace-id': expect.stringMatching(/^Root=1-/),
    });
    expect(await client.messages.next()).toBe('42["añ€"]');
    expect(await binary).toBe(false);
  });

  it('sends bytes as text as well', async () => {
    const { gw, client, id } = await opened();
    await gw.management().send(new PostToConnectionCommand({ ConnectionId: id, Data: Buffer.from('4x') }));
    expect(await client.messages.next()).toBe('4x');
  });

  it('takes 131,072 bytes, and answers 413 to one more', async () => {
    const { gw, client, id } = await opened();
    const post = (Data: string) =>
      gw.management().send(new PostToConnectionCommand({ ConnectionId: id, Data }));
    await post('x'.repeat(131_072));
    expect(await client.messages.next()).toHaveLength(131_072);
    await expect(post('x'.repeat(131_073))).rejects.toMatchObject({
      name: 'PayloadTooLargeException',
      $metadata: { httpStatusCode: 413 },
    });
  });

  it('sends more than 32 KB in several frames of one message', async () => {
    const { gw, client, path } = await opened();
    const socket = (client.ws as unknown as { _socket: NodeJS.ReadableStream })._socket;
    const first = new Promise<Buffer>((resolve) => socket.once('data', resolve));
    await gw.call('POST', path, 'x'.repeat(40_000));
    // Text, not final; 16-bit length 32,768.
    expect((await first).subarray(0, 4)).toEqual(Buffer.from([0x01, 126, 0x80, 0x00]));
    expect(await client.messages.next()).toHaveLength(40_000);
  });

  it('keeps the order in which posts arrive', async () => {
    const { gw, client, id } = await opened();
    const management = gw.management();
    const sent = Array.from({ length: 30 }, (_, index) => String(index));
    for (const Data of sent) await management.send(new PostToConnectionCommand({ ConnectionId: id, Data }));
    const received: string[] = [];
    for (const _ of sent) received.push(await client.messages.next());
    expect(received).toEqual(sent);
  });

  it('answers 410 until the settable delay after the 101 is over', async () => {
    const clock = new ManualClock();
    const { gw, client, path } = await opened({ clock, postableDelayMs: 30 });
    clock.advance(29);
    expect((await gw.call('POST', path, '0{}', clock.now())).status).toBe(410);
    clock.advance(1);
    expect((await gw.call('POST', path, '0{}', clock.now())).status).toBe(200);
    expect(await client.messages.next()).toBe('0{}');
  });

  it('answers 429 over the quota', async () => {
    const { gw, client, id } = await opened({ admit: (what) => what !== 'callback' });
    const post = new PostToConnectionCommand({ ConnectionId: id, Data: 'x' });
    await expect(gw.management().send(post)).rejects.toMatchObject({
      name: 'LimitExceededException',
      $metadata: { httpStatusCode: 429 },
    });
    expect(client.messages.size).toBe(0);
  });

  it('answers 429 to a slow consumer once its buffer is full', async () => {
    const { gw, client, id } = await opened({ sendBufferBytes: 100_000 });
    client.ws.pause();
    const management = gw.management();
    const post = () =>
      management.send(new PostToConnectionCommand({ ConnectionId: id, Data: 'x'.repeat(131_072) }));
    // The kernel's buffers of a loopback connection hold a few megabytes before the gateway has to.
    const failure = await (async () => {
      for (let count = 0; count < 500; count++) await post();
    })().catch((error: Error) => error);
    expect(failure).toMatchObject({ name: 'LimitExceededException' });
    client.ws.resume();
  });
});

describe('GET', () => {
  it('answers what is known, spaced as AWS spaces it', async () => {
    const clock = new ManualClock();
    const { gw, client, path } = await opened({ clock });
    clock.advance(246);
    client.ws.send('x');
    await gw.messages.next();
    const answer = await gw.call('GET', path, undefined, clock.now());
    expect(answer.status).toBe(200);
    expect(answer.body).toBe(`{
  "identity" : {
    "sourceIp" : "127.0.0.1",
    "userAgent" : "test"
  },
  "connectedAt" : "2026-11-27T08:09:10.000Z",
  "lastActiveAt" : "2026-11-27T08:09:10.246Z"
}`);
  });

  it('is understood by the SDK', async () => {
    const { gw, id } = await opened();
    const connection = await gw.management().send(new GetConnectionCommand({ ConnectionId: id }));
    expect(connection.Identity).toEqual({ SourceIp: '127.0.0.1', UserAgent: 'test' });
    expect(connection.ConnectedAt).toBeInstanceOf(Date);
  });
});

describe('DELETE', () => {
  it('answers 204 without a body, then 410', async () => {
    const { gw, client, path } = await opened();
    expect(await gw.call('DELETE', path)).toMatchObject({ status: 204, body: '' });
    expect((await client.closed).code).toBe(1000);
    expect((await gw.call('DELETE', path)).status).toBe(410);
  });
});

describe('an id', () => {
  it.each(['POST', 'GET', 'DELETE'])(
    'that nobody has gets 410, empty, as GoneException (%s)',
    async (method) => {
      const { gw } = await opened();
      const answer = await gw.call(
        method,
        `/@connections/${encodeURIComponent(UNKNOWN)}`,
        method === 'POST' ? 'x' : undefined,
      );
      expect(answer).toMatchObject({ status: 410, body: '' });
      expect(answer.headers).toMatchObject({ 'x-amzn-errortype': 'GoneException', 'content-length': '0' });
    },
  );

  it('of another form gets 400, with the documented body', async () => {
    const { gw } = await opened();
    const answer = await gw.call('POST', '/@connections/WDGT8fY4joECJrQ%3Dtest', 'x');
    expect(answer).toMatchObject({
      status: 400,
      body: '{"message":"Invalid connectionId: WDGT8fY4joECJrQ=test"}',
    });
    expect(answer.headers['x-amzn-errortype']).toBe('BadRequestException');
  });

  it('that is no percent-encoding gets 400 as well', async () => {
    const { gw } = await opened();
    expect((await gw.call('GET', '/@connections/%E0%A4%A')).status).toBe(400);
  });

  it.each(['/@connections/', '/%40connections/'])('is found below %s, encoded or not', async (prefix) => {
    const { gw, client, id } = await opened();
    expect((await gw.call('POST', `${prefix}${id}`, 'plain')).status).toBe(200);
    expect((await gw.call('POST', `${prefix}${encodeURIComponent(id)}`, 'encoded')).status).toBe(200);
    expect(await client.messages.next()).toBe('plain');
    expect(await client.messages.next()).toBe('encoded');
  });

  it('below another stage gets 403', async () => {
    const { gw, id } = await opened();
    const path = `/test/@connections/${encodeURIComponent(id)}`;
    const headers = await gw.sign({ method: 'POST', path, body: 'x' });
    const answer = await gw.http('POST', path, headers, 'x');
    expect(answer).toMatchObject({ status: 403, body: '{"message":"Forbidden"}' });
    expect(answer.headers['x-amzn-errortype']).toBe('ForbiddenException');
  });

  it.each([
    ['PUT', ''],
    ['POST', '/more'],
  ])('gets 403 on a call that does not exist (%s%s)', async (method, suffix) => {
    const { gw, path } = await opened();
    expect((await gw.call(method, `${path}${suffix}`, 'x')).status).toBe(403);
  });
});

describe('a signature', () => {
  const refusals: [
    string,
    Parameters<TestGateway['sign']>[1],
    Partial<typeof CREDENTIALS>,
    string,
    RegExp,
  ][] = [
    [
      'with another secret',
      {},
      { secretAccessKey: 'wrong' },
      'InvalidSignatureException',
      /^The request signature we calculated does not match the signature you provided\. Check your AWS Secret Access Key/,
    ],
    [
      'of an unknown key',
      {},
      { accessKeyId: 'AKIAUNKNOWN' },
      'UnrecognizedClientException',
      /^The security token included in the request is invalid\.$/,
    ],
    [
      'with another session token',
      {},
      { sessionToken: 'other' },
      'UnrecognizedClientException',
      /security token/,
    ],
    [
      'of six minutes ago',
      { now: Date.now() - 360_000 },
      {},
      'InvalidSignatureException',
      /^Signature expired: \d{8}T\d{6}Z is now earlier than \d{8}T\d{6}Z \(\d{8}T\d{6}Z - 5 min\.\)$/,
    ],
    [
      'of six minutes from now',
      { now: Date.now() + 360_000 },
      {},
      'InvalidSignatureException',
      /^Signature not yet current: /,
    ],
    ['for another region', { region: 'us-east-1' }, {}, 'InvalidSignatureException', /valid region/],
    [
      'for another service',
      { service: 'dynamodb' },
      {},
      'InvalidSignatureException',
      /correct service: 'execute-api'/,
    ],
  ];
  it('whose scope is of another day gets 403', async () => {
    const { gw, path } = await opened();
    const headers = await gw.sign({ method: 'POST', path: `/prod${path}`, body: 'x' }, {}, CREDENTIALS);
    const authorization = String(headers.authorization).replace(/\/\d{8}\//, '/20200101/');
    const answer = await gw.http('POST', `/prod${path}`, { ...headers, authorization }, 'x');
    expect(answer.status).toBe(403);
    expect(JSON.parse(answer.body).message).toMatch(/^Date in Credential scope does not match YYYYMMDD/);
  });

  it.each(refusals)('%s gets 403', async (_, at, credentials, type, message) => {
    const { gw, client, path } = await opened();
    const call = { method: 'POST', path: `/prod${path}`, body: 'x' };
    const headers = await gw.sign(call, at, { ...CREDENTIALS, ...credentials });
    const answer = await gw.http('POST', call.path, headers, 'x');
    expect(answer.status).toBe(403);
    expect(answer.headers['x-amzn-errortype']).toBe(type);
    expect(JSON.parse(answer.body).message).toMatch(message);
    expect(client.messages.size).toBe(0);
  });

  it('that is missing gets 403', async () => {
    const { gw, path } = await opened();
    const answer = await gw.http('POST', `/prod${path}`, {}, 'x');
    expect(answer).toMatchObject({ status: 403, body: '{"message":"Missing Authentication Token"}' });
    expect(answer.headers['x-amzn-errortype']).toBe('MissingAuthenticationTokenException');
  });

  it.each([
    'Bearer token',
    'AWS4-HMAC-SHA256 nonsense',
    'AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=00',
    'AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=host',
    'AWS4-HMAC-SHA256 Credential=a/b/c/d/e, Signature=00',
  ])('that cannot be read gets 403 (%s)', async (authorization) => {
    const { gw, path } = await opened();
    const answer = await gw.http('POST', `/prod${path}`, { authorization }, 'x');
    expect(answer.status).toBe(403);
    expect(answer.headers['x-amzn-errortype']).toBe('IncompleteSignatureException');
  });

  const tampered: [
    string,
    (headers: Record<string, string>) => { path?: string; body?: string; method?: string },
  ][] = [
    ['another body', () => ({ body: 'y' })],
    ['another connection', () => ({ path: `/prod/@connections/${encodeURIComponent(UNKNOWN)}` })],
    ['another method', () => ({ method: 'DELETE' })],
    ['a query', () => ({ path: '?x=1' })],
    [
      'another signed header',
      (headers) => {
        headers['x-amz-date'] =
          `${headers['x-amz-date']?.slice(0, -2)}${headers['x-amz-date']?.at(-2) === '0' ? '1' : '0'}Z`;
        return {};
      },
    ],
    [
      'a cut signature',
      (headers) => {
        headers.authorization = headers.authorization?.slice(0, -2) ?? '';
        return {};
      },
    ],
    [
      'a header of x-amz- that is not signed',
      (headers) => {
        headers['x-amz-extra'] = '1';
        return {};
      },
    ],
  ];
  it.each(tampered)('does not cover %s', async (_, change) => {
    const { gw, client, path } = await opened();
    const headers = await gw.sign({ method: 'POST', path: `/prod${path}`, body: 'x' });
    const { method = 'POST', body = 'x', path: other = '' } = change(headers);
    const target = other.startsWith('/') ? other : `/prod${path}${other}`;
    const answer = await gw.http(method, target, headers, body);
    expect(answer.status).toBe(403);
    expect(answer.headers['x-amzn-errortype']).toBe('InvalidSignatureException');
    expect(client.messages.size).toBe(0);
  });

  it('covers a query when it was signed with one', async () => {
    const { gw, path } = await opened();
    const signer = await gw.management().config.signer();
    const host = `127.0.0.1:${gw.port}`;
    const request = {
      method: 'GET',
      protocol: 'http:',
      hostname: '127.0.0.1',
      port: gw.port,
      path: `/prod${path}`,
      query: { b: "it's (2)*", a: 'ü', A: '1' },
      headers: { host },
    };
    const signed = await signer.sign(request as unknown as Parameters<typeof signer.sign>[0]);
    const answer = await gw.http('GET', `/prod${path}?b=it%27s%20(2)*&a=%C3%BC&A=1`, signed.headers);
    expect(answer.status).toBe(200);
  });

  it('is checked in its form only where no secrets are known', async () => {
    const { gw, path } = await opened({ credentials: undefined as never });
    const headers = await gw.sign(
      { method: 'GET', path: `/prod${path}` },
      {},
      { ...CREDENTIALS, secretAccessKey: '?' },
    );
    expect((await gw.http('GET', `/prod${path}`, headers)).status).toBe(200);
    expect((await gw.http('GET', `/prod${path}`)).status).toBe(403);
  });
});

describe('permission', () => {
  it('is asked for each call, and refused as AWS refuses it', async () => {
    const asked: unknown[] = [];
    const { gw, id, path } = await opened({
      authorize: (call) => {
        asked.push(call);
        return call.method === 'GET';
      },
      credentials: () => ({
        ...CREDENTIALS,
        principalArn: 'arn:aws:sts::123456788512:assumed-role/role/open',
      }),
    });
    expect((await gw.call('GET', path)).status).toBe(200);
    const answer = await gw.call('POST', path, 'x');
    expect(answer.status).toBe(403);
    expect(answer.headers['x-amzn-errortype']).toBe('AccessDeniedException');
    expect(answer.body).toBe(
      '{"Message":"User: arn:aws:sts::123456788512:assumed-role/role/open is not authorized to perform: execute-api:ManageConnections on resource: arn:aws:execute-api:eu-west-1:********8512:a1b2c3d4e5/prod/POST/@connections/{connectionId}"}',
    );
    expect(asked).toEqual(
      ['GET', 'POST'].map((method) => ({
        accessKeyId: ACCESS_KEY,
        method,
        resource: `arn:aws:execute-api:eu-west-1:123456788512:a1b2c3d4e5/prod/${method}/@connections/${id}`,
      })),
    );
  });
});
