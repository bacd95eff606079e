import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Socket } from 'socket.io-client';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { BUILT_IN_APPLICATIONS, type BuiltInApplication } from '../../lambdas/contract/applications.ts';
import { synthesise } from '../support/assembly.ts';
import { JWT_SECRET, recorded, startTestStack, type TestStack, token } from '../support/stack.ts';
import { COMPILING, filesOf, type Workspace, workspace } from './workspace.ts';

const CLOUD_API_KEY = 'a key for tests only';
const ISO = expect.stringMatching(/^\d{4}-\d{2}-\d{2}T[\d:.]+Z$/);

let files: ReadonlyMap<string, string>;
let pages: Workspace;
let bus: TestStack;

beforeAll(async () => {
  const assembly = synthesise({
    APPS: BUILT_IN_APPLICATIONS.join(','),
    IDENTITY: 'trusted',
    CLIENT_ORIGIN: 'http://localhost:3000',
  });
  bus = await startTestStack({ assembly, settings: { JWT_SECRET, CLOUD_API_KEY } });
  const shown = await filesOf('migrating.md');
  // The page is for a laptop, where the stack has the port 3000; here it has any.
  files = new Map(
    [...shown].map(([file, code]) => [file, code.replaceAll('http://localhost:3000', bus.stack.origin)]),
  );
  pages = await workspace(files);
  vi.stubEnv('TOKEN', await token({ sub: '1', username: 'ana' }));
  vi.stubEnv('CLOUD_API_KEY', CLOUD_API_KEY);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await bus.close();
  await pages.remove();
});

/** Runs the page's backend of an application as a process of its own; resolves with what it printed. */
async function backend(application: BuiltInApplication): Promise<string> {
  const { accessKeyId, secretAccessKey } = bus.stack.credentials;
  const program = ['--import', import.meta.resolve('tsx'), pages.path(`${application}.backend.ts`)];
  const { stdout } = await promisify(execFile)(process.execPath, program, {
    cwd: pages.directory,
    env: {
      PATH: process.env.PATH,
      AWS_ENDPOINT_URL_LAMBDA: bus.stack.origin,
      AWS_REGION: bus.stack.deployment.region,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
    },
  });
  return stdout;
}

interface Shown {
  /** An event that only the client's own actions, answered, let through. */
  readonly ready: (socket: Socket) => Promise<unknown>;
  readonly hears: readonly (readonly [event: string, ...args: unknown[]])[];
}

const actor = { id: 5, role: 'vendor' };
const SHOWN: { readonly [A in BuiltInApplication]: Shown } = {
  'storefront-chat': {
    ready: (socket) => socket.emitWithAck('join-conversation', '789'),
    hears: [
      [
        'new-message',
        { messageId: 'm1', content: 'Your order is on its way', senderId: 'staff-1', timestamp: ISO },
      ],
    ],
  },
  'clinic-chat': {
    ready: (socket) => socket.emitWithAck('chat:join-room', { conversacionId: 7, userId: 1 }),
    hears: [
      [
        'chat:message-received',
        {
          id: expect.any(String),
          conversacionId: 7,
          contenido: 'Buenos días',
          userId: 2,
          rol: 'medico',
          timestamp: ISO,
        },
      ],
    ],
  },
  'order-sync': {
    ready: (socket) => socket.emitWithAck('sync:orders'),
    hears: [['changes:pending']],
  },
  'watch-groups': {
    ready: (socket) => socket.emitWithAck('join-group', { groupId: 123 }),
    hears: [
      ['series-added', { seriesName: 'Dark', addedBy: 'ana' }],
      ['notification', { message: 'Hay una serie nueva' }],
    ],
  },
  marketplace: {
    ready: (socket) =>
      Promise.all([
        socket.emitWithAck('join', { type: 'user', id: 9 }),
        socket.emitWithAck('join', { type: 'vendor', id: 5 }),
      ]),
    hears: [
      ['service:created', { service: { id: 1, vendorId: 5, title: 'Garden care' }, actor, timestamp: ISO }],
      ['booking:created', { booking: { id: 2, vendorId: 5, userId: 9 }, actor, timestamp: ISO }],
    ],
  },
};

describe('the page on moving from a server of one’s own', () => {
  test(
    'shows the backend and the client of every application, and what it shows compiles',
    COMPILING,
    async () => {
      const expected = BUILT_IN_APPLICATIONS.flatMap((name) => [`${name}.backend.ts`, `${name}.client.ts`]);
      expect([...files.keys()]).toEqual(expected);
      expect(await pages.typeErrors(...files.keys())).toEqual([]);
    },
  );

  test.each(BUILT_IN_APPLICATIONS)(
    'shows a client of %s that hears what the backend shown emits',
    async (name) => {
      const { socket } = (await import(pages.path(`${name}.client.ts`))) as { readonly socket: Socket };
      const ears = recorded(socket);
      const { ready, hears } = SHOWN[name];
      await ready(socket);
      const printed = await backend(name);
      const names = new Set(hears.map(([event]) => event));
      const mine = () =>
        ears.filter(({ event }) => names.has(event)).map(({ event, args }) => [event, ...args]);
      await expect.poll(mine, { timeout: 8_000 }).toHaveLength(hears.length);
      expect(mine()).toEqual(expect.arrayContaining(hears.map((each) => [...each])));
      if (name === 'watch-groups') {
        expect(JSON.parse(printed)).toEqual([
          { socketId: socket.id, userId: 1, username: 'ana', groups: [123] },
        ]);
      }
      socket.disconnect();
    },
  );
});
