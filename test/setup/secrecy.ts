/** Whatever a test is about: no line that its worlds logged may hold a secret. */
import { afterEach } from 'vitest';
import { leakedByWorlds } from '../support/secrecy.ts';

afterEach(() => {
  const leaks = leakedByWorlds();
  if (leaks.length > 0) throw new Error(`a secret was logged:\n${leaks.join('\n')}`);
});
