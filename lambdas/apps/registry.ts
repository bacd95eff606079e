import type { Application } from '../bus/public.ts';
import { watchGroups } from './watch-groups.ts';

/** The built-in applications, by the names a deployment chooses them with. */
export const builtIns: Readonly<Record<string, Application>> = {
  'watch-groups': watchGroups,
};
