import { defineConfig } from 'vitest/config';

/**
 * Tests of single modules share their process, which saves loading the same modules a hundred times. Not those that need the
 * assembly or connections of their own, and not those of orders, which leave a process slower than they found it.
 */
const UNITS = [
  'test/{apps,client,emitter,protocol}/**/*.test.ts',
  'test/adapters/!(*.http).test.ts',
  'test/bus/!(*-orders).test.ts',
  'test/wiring/!(observed).test.ts',
  'test/local/{dynamodb,faults,front-door,gateway,iam,quotas}/**/*.test.ts',
];

export default defineConfig({
  test: {
    testTimeout: 20_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 3,
    setupFiles: ['test/setup/secrecy.ts'],
    projects: [
      {
        extends: true,
        test: {
          name: 'stack',
          include: ['test/**/*.test.ts'],
          exclude: UNITS,
          globalSetup: ['test/setup/synth.ts'],
        },
      },
      {
        extends: true,
        test: { name: 'units', include: UNITS, isolate: false, unstubEnvs: true, unstubGlobals: true },
      },
    ],
  },
});
