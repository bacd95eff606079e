import {
  ApiGatewayManagementApiClient,
  DeleteConnectionCommand,
  ForbiddenException,
  GoneException,
  LimitExceededException,
  PayloadTooLargeException,
  PostToConnectionCommand,
} from '@aws-sdk/client-apigatewaymanagementapi';
import { mockClient } from 'aws-sdk-client-mock';
import { beforeEach, describe, expect, test } from 'vitest';
import { ManagementWire } from '../../lambdas/adapters/management-wire.ts';
import { FakeLog } from '../support/world.ts';

const api = mockClient(ApiGatewayManagementApiClient);
const ID = 'L0SM9cOFvHcCIhw=';
const $metadata = (httpStatusCode: number) => ({ httpStatusCode });
const gone = () => new GoneException({ message: '', $metadata: $metadata(410) });

describe('the wire', () => {
  let log: FakeLog;
  let wire: ManagementWire;

  beforeEach(() => {
    api.reset();
    process.env.AWS_REGION ??= 'us-east-1';
    log = new FakeLog();
    wire = new ManagementWire('https://example.test/prod', log);
  });

  test('posts the frame as it is', async () => {
    api.on(PostToConnectionCommand).resolves({});
    expect(await wire.post(ID, '42["é"]')).toBe('ok');
    expect(api.commandCalls(PostToConnectionCommand)[0]!.args[0].input).toEqual({
      ConnectionId: ID,
      Data: '42["é"]',
    });
  });

  test.each([
    ['gone', gone()],
    ['throttled', new LimitExceededException({ message: '', $metadata: $metadata(429) })],
    ['refused', new PayloadTooLargeException({ message: '', $metadata: $metadata(413) })],
    ['refused', new ForbiddenException({ message: '', $metadata: $metadata(403) })],
    ['failed', Object.assign(new Error('x'), { name: 'InternalServerError', $metadata: $metadata(500) })],
    ['failed', Object.assign(new Error('no answer'), { name: 'TimeoutError' })],
  ])(
    'calls a post %s after %o, and tries once: retries are the business of the delivery',
    async (outcome, error) => {
      api.on(PostToConnectionCommand).rejects(error);
      expect(await wire.post(ID, '2')).toBe(outcome);
      expect(api.commandCalls(PostToConnectionCommand)).toHaveLength(1);
    },
  );

  test('logs what went wrong, but not that a client has gone', async () => {
    api.on(PostToConnectionCommand).rejectsOnce(gone()).rejects(new Error('broken'));
    await wire.post(ID, '2');
    expect(log.lines).toEqual([]);
    await wire.post(ID, '42["secret"]');
    expect(log.lines).toMatchObject([{ level: 'warn', fields: { connectionId: ID, outcome: 'failed' } }]);
    expect(JSON.stringify(log.lines)).not.toContain('secret');
  });

  test('cuts a connection', async () => {
    api.on(DeleteConnectionCommand).resolves({});
    await wire.close(ID);
    expect(api.commandCalls(DeleteConnectionCommand)[0]!.args[0].input).toEqual({ ConnectionId: ID });
  });

  test('is quiet about cutting one that has gone, and says where it is not certain', async () => {
    api.on(DeleteConnectionCommand).rejectsOnce(gone()).rejects(new Error('broken'));
    await expect(wire.close(ID)).resolves.toBe(true);
    expect(log.lines).toEqual([]);
    await expect(wire.close(ID)).resolves.toBe(false);
    expect(log.lines).toMatchObject([{ level: 'warn' }]);
  });
});
