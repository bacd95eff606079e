import { test } from 'vitest';
import { PROPERTIES } from './properties.ts';

const RUNS = 1_000;

test.each(Object.entries(PROPERTIES))('%s', { timeout: 120_000 }, async (_name, holds) => holds(RUNS));
