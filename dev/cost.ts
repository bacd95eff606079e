/** `npm run cost`: what a deployment would cost, beside others. Exit codes: 0 said, 2 not understood. */
import { alternativesOf } from './cost/alternatives.ts';
import { billOf } from './cost/bill.ts';
import { measuredFanOuts } from './cost/fan-out.ts';
import { readCostPage } from './cost/page.ts';
import { report } from './cost/report.ts';
import { RECYCLED_MINUTES, workloadOf } from './cost/workload.ts';
import { explain, parsedOptions } from './local-defaults.ts';

const USAGE = `npm run cost -- --clients <n> [options]     what a deployment costs in a period, by list prices, and what others would

  --clients <n>         clients that are connected at any time of the period
  --hours <n>           the period                                 (default 730, a month)
  --publishes <n>       events that are published in all of the period, by backends or by handlers: a bill counts
                        events, whenever they come                 (default 0)
  --audience <n>        clients that hear each of them             (default 1)
  --heartbeat <minutes> between two pings, PING_INTERVAL_MINUTES   (default 4)
  --sent <n>            events that clients send in all of the period, each acknowledged; what a handler then emits to others
                        is a publish as well                       (default 0)
  --bytes <n>           of the arguments of each event             (default 200)
  --session <minutes>   how long a connection lasts, at most ${RECYCLED_MINUTES}, when it is recycled (default ${RECYCLED_MINUTES})
  --transports <which>  default: polling first, then a WebSocket; websocket: transports: ['websocket'] (default default)
  --polling <percent>   of the clients never get a WebSocket       (default 0)
  --help                show this

Prices and what each step uses are the tables of docs/cost.md, and so is what is left out: data transfer, storage, free tiers.
Exit codes: 0 said, 2 the command line cannot be understood.
`;

const TEXT = { type: 'string' } as const;
const OPTIONS = {
  clients: TEXT,
  hours: TEXT,
  publishes: TEXT,
  audience: TEXT,
  heartbeat: TEXT,
  sent: TEXT,
  bytes: TEXT,
  session: TEXT,
  transports: TEXT,
  polling: TEXT,
  help: { type: 'boolean', short: 'h' },
} as const;

async function main(): Promise<void> {
  const options = parsedOptions(process.argv.slice(2), OPTIONS);
  if (options.help) {
    process.stdout.write(USAGE);
    return;
  }
  const workload = workloadOf(options);
  const [page, fanOuts] = await Promise.all([readCostPage(), measuredFanOuts()]);
  const bill = billOf(workload, { page, fanOuts });
  process.stdout.write(report(workload, bill, alternativesOf(workload, page)));
}

main().catch((error: unknown) => {
  process.stderr.write(explain(error, 'cost'));
  process.exitCode = 2;
});
