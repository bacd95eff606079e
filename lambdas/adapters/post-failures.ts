/** What is said of posts that fail. They fail by the thousand or not at all, and a line for each would drown the reason. */
import type { Clock, Log, PostOutcome } from '../bus/ports.ts';

/** One warning for each reason in this time. */
const QUIET_MS = 10_000;
/** Reasons that are remembered. */
const MOST_REASONS = 50;

export interface Circumstances {
  readonly status?: number;
  /** AWS's name of the error. */
  readonly type?: string | undefined;
  readonly error?: unknown;
}

/**
 * Warns of the first failure of each reason with what is known of it; those that follow within 10 s are counted in the
 * next warning and written out at the level `debug`. What becomes of the recipients is the delivery's to say.
 */
export class PostFailures {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #reasons = new Map<string, { readonly since: number; silent: number }>();

  constructor(clock: Clock, log: Log) {
    this.#clock = clock;
    this.#log = log;
  }

  note(outcome: PostOutcome, connectionId: string, circumstances: Circumstances): void {
    const now = this.#clock.now();
    const reason = reasonOf(circumstances);
    const known = this.#reasons.get(reason);
    const fields = { connectionId, outcome, ...circumstances };
    if (known !== undefined && now < known.since + QUIET_MS) {
      known.silent += 1;
      this.#log.debug('a post failed', fields);
      return;
    }
    if (this.#reasons.size >= MOST_REASONS) this.#reasons.clear();
    this.#reasons.set(reason, { since: now, silent: 0 });
    this.#log.warn('a post failed', known === undefined ? fields : { ...fields, silent: known.silent });
  }
}

function reasonOf({ status, type, error }: Circumstances): string {
  if (!(error instanceof Error)) return `${status} ${type}`;
  return 'code' in error ? String(error.code) : error.name;
}
