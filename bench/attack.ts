/**
 * What honest clients notice of an attack, and what it costs at most (docs/cost.md).
 *
 *     npm run bench -- attack [hostile connections] [at a time] [instances] [honest clients]
 *
 * The local stack runs in a process of its own, the clients in this one. Hostile connections send 250 events a second each
 * until they are closed, so many at a time as the argument says: AWS would run as many instances as it takes, one machine
 * cannot, so here honest events wait in one queue with hostile ones. Fails where something of the honest clients is lost, or a
 * hostile connection is not closed; wanted is a p99 of at most twice that of the quiet run.
 */
import { attack, type Heard } from './attack-run.ts';
import { child } from './child.ts';
import { attackMinute } from './price.ts';
import { type Bench, percentile } from './result.ts';

const QUIET_SECONDS = 20;
const PER_SECOND = 250;

export const bench: Bench = async ([hostile = '1000', together = '1', instances = '3', honest = '100']) => {
  const server = await child<string>('event-server.ts', ['guarded', instances]);
  try {
    const found = await attack(server.said, {
      honest: Number(honest),
      hostile: Number(hostile),
      together: Number(together),
      perSecond: PER_SECOND,
      seconds: QUIET_SECONDS,
    });
    const { quiet, attacked } = found;
    const { sent, accepted, refused, closed, mostAccepted } = found.hostile;
    if (closed < Number(hostile)) throw new Error(`only ${closed} hostile connections were closed`);
    if (quiet.lost + attacked.lost > 0) throw new Error(`${attacked.lost} honest events were lost`);
    return {
      rows: [
        { run: 'quiet', ...figures(quiet) },
        {
          run: 'attacked',
          ...figures(attacked),
          'hostile events': sent,
          accepted,
          refused,
          'most accepted of one': mostAccepted,
          'US$ a minute on AWS, at most': await attackMinute(Number(hostile)),
        },
      ],
      ratios: { p99: percentile(attacked.latencies, 0.99) / percentile(quiet.latencies, 0.99) },
    };
  } finally {
    await server.end();
  }
};

function figures({ latencies }: Heard) {
  return {
    events: latencies.length,
    'p50 (ms)': percentile(latencies, 0.5),
    'p99 (ms)': percentile(latencies, 0.99),
  };
}
