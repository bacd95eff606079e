/**
 * `npm run bench -- <name> [arguments]`: runs one bench, prints a table and writes `bench/results/<name>.json`. What the
 * arguments are is said in the bench's own file.
 */
import { availableParallelism, cpus } from 'node:os';
import { type Bench, keep, table } from './result.ts';

const BENCHES: Readonly<Record<string, () => Promise<{ readonly bench: Bench }>>> = {
  attack: () => import('./attack.ts'),
  'attack-model': () => import('./attack-model.ts'),
  cold: () => import('./cold.ts'),
  connect: () => import('./connect.ts'),
  event: () => import('./event.ts'),
  fanout: () => import('./fanout.ts'),
  idle: () => import('./idle.ts'),
  post: () => import('./post.ts'),
  quota: () => import('./quota.ts'),
  recover: () => import('./recover.ts'),
  'recover-model': () => import('./recover-model.ts'),
  status: () => import('./status.ts'),
};

const [name = '', ...args] = process.argv.slice(2);
const load = Object.hasOwn(BENCHES, name) ? BENCHES[name] : undefined;
if (load === undefined) {
  process.stderr.write(
    `npm run bench -- <name> [arguments], where the name is one of ${Object.keys(BENCHES).join(', ')}\n`,
  );
  process.exitCode = 2;
} else {
  console.log(`${name}, ${availableParallelism()} × ${cpus()[0]?.model}, Node ${process.version}`);
  const { bench } = await load();
  const result = await bench(args);
  console.log(`\n${table(result)}\n\n${await keep(name, args, result)}`);
}
