import { readFile } from 'node:fs/promises';
import { DiagnosticSeverity, Parser } from '@asyncapi/parser';
import { beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import * as z from 'zod/mini';
import { ASYNCAPI_FILE, asyncApiYaml } from '../../bin/asyncapi.ts';
import { asyncApiDocument } from '../../lambdas/apps/asyncapi.ts';
import { defineApp, id } from '../../lambdas/apps/define-app.ts';
import { builtIns } from '../../lambdas/apps/registry.ts';

const INFO = { title: 'own', version: '1.0.0', description: 'for tests' };

type Diagnostics = Awaited<ReturnType<Parser['parse']>>['diagnostics'];

const errorsAmong = (diagnostics: Diagnostics) =>
  diagnostics.filter(({ severity }) => severity === DiagnosticSeverity.Error);

async function errorsOf(text: string) {
  const { diagnostics } = await new Parser().parse(text);
  return errorsAmong(diagnostics);
}

describe('docs/asyncapi.yaml', () => {
  let committed: string;
  let parsed: Awaited<ReturnType<Parser['parse']>>;
  beforeAll(async () => {
    committed = await readFile(ASYNCAPI_FILE, 'utf8');
    parsed = await new Parser().parse(committed);
  });

  test('is what the definitions say now; `npm run docs` writes it anew', () => {
    expect(asyncApiYaml()).toBe(committed);
  });

  test('is valid by the parser of AsyncAPI', () => {
    const { document, diagnostics } = parsed;
    expect(errorsAmong(diagnostics)).toEqual([]);
    expect(document?.version()).toBe('3.0.0');
    expect(document?.channels().all()).toHaveLength(Object.keys(builtIns).length);
  });

  test.each(Object.values(builtIns))(
    'has the events of $name in both directions, and its rooms',
    async (app) => {
      const { document } = await new Parser().parse(committed);
      const channel = document!.channels().get(app.name)!;
      expect(channel.address()).toBe(app.namespace);
      const operations = channel.operations().all();
      const names = (action: string) =>
        operations
          .filter((operation) => operation.action() === action)
          .flatMap((operation) => operation.messages().all())
          .map((message) => message.name());
      const failures = app.onError === undefined && !('error' in app.serverEvents) ? ['error'] : [];
      expect(names('receive')).toEqual(Object.keys(app.clientEvents));
      expect(names('send')).toEqual([...Object.keys(app.serverEvents), ...failures]);
      for (const prefix of Object.keys(app.rooms)) expect(channel.description()).toContain(`\`${prefix}{`);
      for (const operation of operations) expect(operation.summary(), operation.id()).toMatch(/\.$/);
    },
  );
});

describe('a document', () => {
  const own = defineApp({
    name: 'own',
    namespace: '/own',
    rooms: { 'list:': { hot: true } },
    clientEvents: {
      'say it': { payload: z.object({ to: id(), data: z.optional(z.json()) }), handle: () => undefined },
      ring: { payload: z.undefined(), forward: true, handle: () => undefined },
    },
    serverEvents: { rang: z.undefined(), said: z.array(z.json()) },
  });
  const ownDocument = () => JSON.stringify(asyncApiDocument([own], INFO));

  test('of an application of one’s own is valid, though nobody wrote texts for it', async () => {
    expect(await errorsOf(ownDocument())).toEqual([]);
  });

  test('has no payload where an event has none, and shares ids and JSON values', async () => {
    const { components, operations, channels } = JSON.parse(ownDocument());
    expect(components.messages['own.receive.ring']).toEqual({ name: 'ring', title: 'ring' });
    expect(components.messages['own.receive.say.it']).toMatchObject({
      name: 'say it',
      payload: {
        properties: {
          to: { $ref: '#/components/schemas/Id' },
          data: { $ref: '#/components/schemas/Json' },
        },
        required: ['to'],
      },
    });
    expect(components.messages['own.send.said'].payload.items).toEqual({ $ref: '#/components/schemas/Json' });
    expect(operations['own.receive.ring']).toMatchObject({ action: 'receive', 'x-forwarded': true });
    expect(operations['own.send.said']).not.toHaveProperty('reply');
    expect(channels.own['x-rooms']).toEqual([{ room: 'list:{name}', hot: true }]);
  });

  test('has the error event of applications that tell of failures in no way of their own', () => {
    const { components } = JSON.parse(ownDocument());
    expect(components.messages['own.send.error'].payload.required).toEqual([
      'message',
      'code',
      'event',
      'timestamp',
    ]);
    const quiet = defineApp({ name: 'quiet', onError: () => undefined });
    const { components: others } = asyncApiDocument([quiet], INFO) as { components: { messages: object } };
    expect(others.messages).not.toHaveProperty(['quiet.send.error']);
  });

  test('is refused where two events would share a key, or a payload is recursive', () => {
    const handle = () => undefined;
    const twins = { 'a:b': { payload: z.string(), handle }, 'a b': { payload: z.string(), handle } };
    expect(() => asyncApiDocument([defineApp({ name: 'own', clientEvents: twins })], INFO)).toThrow(
      'own.receive.a.b',
    );
    const tree: z.ZodMiniType = z.object({ children: z.array(z.lazy(() => tree)) });
    expect(() => asyncApiDocument([defineApp({ name: 'own', serverEvents: { tree } })], INFO)).toThrow(
      'recursive',
    );
  });

  test('that is broken is told by the parser, so that its silence means something', async () => {
    const document = parse(asyncApiYaml());
    document.operations['watch-groups.receive.join-group'].messages[0].$ref = '#/channels/nowhere/messages/x';
    expect(await errorsOf(JSON.stringify(document))).not.toEqual([]);
  });
});
