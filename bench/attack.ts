/**
 * What honest clients notice of an attack, and what it costs at most (docs/cost.md).
 *
 *     npm run bench -- attack [hostile connections] [that flood, of a hundred] [instances] [honest clients]
 *
 * The local stack runs in a process of its own, the clients in this one. For a minute the honest clients, each of which relays
 * an event every four seconds, are alone; for another minute hostile connections come, evenly. Some send 250 events a second,
 * every fifth of the others sends what is no packet, and the rest never ask for a namespace; each until it is closed. How many flood
 * is an argument, since AWS would run as many instances as it takes and one machine cannot: it handles some 150 events a second,
 * so one that floods is beyond it. Nobody comes back, for the same reason (the bench `attack-model` has that).
 * The clock of a local stack is real time, moved forward: a minute of it cannot be made longer.
 *
 * Fails where something of the honest clients is lost, or a hostile connection is not closed; wanted is a p99 of at most twice that
 * of the quiet run.
 */
import { account, EVERY_MS, figures, MALICES, maliceOf, PER_SECOND, SECONDS } from './attack-rows.ts';
import { attack } from './attack-run.ts';
import { child } from './child.ts';
import { attackMinute } from './price.ts';
import { type Bench, byFigure, percentile, table } from './result.ts';

/** Silent ones are closed by the first sweep after 45 s. */
const PATIENCE_MS = 300_000;

export const bench: Bench = async ([hostile = '1000', flooding = '0', instances = '4', honest = '100']) => {
  const server = await child<string>('event-server.ts', ['guarded', instances]);
  try {
    const { quiet, attacked, assaults } = await attack(server.said, {
      honest: Number(honest),
      everyMs: EVERY_MS,
      hostile: Array.from({ length: Number(hostile) }, (_, n) => maliceOf(n, Number(flooding))),
      seconds: SECONDS,
      perSecond: PER_SECOND,
      patienceMs: PATIENCE_MS,
    });
    const kinds = MALICES.filter((malice) => assaults.some((one) => one.malice === malice));
    const result = {
      rows: [
        ...byFigure({ quiet: figures(quiet.latencies), attacked: figures(attacked.latencies) }),
        { what: 'price of the minute on AWS, at most (US$)', attacked: await attackMinute(Number(hostile)) },
        ...byFigure(Object.fromEntries(kinds.map((malice) => [malice, account(malice, assaults)]))),
      ],
      ratios: { p99: percentile(attacked.latencies, 0.99) / percentile(quiet.latencies, 0.99) },
    };
    const open = assaults.filter(({ closed }) => !closed).map(({ malice }) => malice);
    const lost = quiet.lost + attacked.lost;
    const failures = [
      ...(open.length > 0 ? [`${open.length} were not closed: ${[...new Set(open)].join(', ')}`] : []),
      ...(lost > 0 ? [`${lost} honest events were lost`] : []),
    ];
    if (failures.length === 0) return result;
    console.log(table(result));
    throw new Error(failures.join('; '));
  } finally {
    await server.end();
  }
};
