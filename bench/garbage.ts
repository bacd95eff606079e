/** Collection of garbage when it is asked for: what was thrown away before is not part of what is measured. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

// Node's own option for it is one of the command line, and only a new context sees a flag that is set later.
setFlagsFromString('--expose-gc');

export const collectGarbage = runInNewContext('gc') as () => void;
