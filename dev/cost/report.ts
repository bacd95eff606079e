/** A bill as lines for a terminal. */
import type { Alternative } from './alternatives.ts';
import type { Bill } from './bill.ts';
import type { Workload } from './workload.ts';

/** API Gateway's requests per second of an account that has not asked for more. */
const QUOTA = 10_000;
const NAME_WIDTH = 22;
const COUNT_WIDTH = 15;
const UNIT_WIDTH = 10;
const USD_WIDTH = 14;

export function report(workload: Workload, bill: Bill, alternatives: readonly Alternative[]): string {
  const lines = bill.lines.map(({ what, count, unit, usd }) =>
    [
      what.padEnd(NAME_WIDTH),
      whole(count).padStart(COUNT_WIDTH),
      ` ${unit.padEnd(UNIT_WIDTH)}`,
      dollars(usd),
    ].join(''),
  );
  const total = `${'socketbus'.padEnd(NAME_WIDTH + COUNT_WIDTH + UNIT_WIDTH + 1)}${dollars(bill.usd)}`;
  const others = alternatives.map(
    ({ name, usd, note }) =>
      `${name.padEnd(NAME_WIDTH + COUNT_WIDTH + UNIT_WIDTH + 1)}${dollars(usd)}  ${note}`,
  );
  return `${[
    summary(workload),
    '',
    `${' '.repeat(NAME_WIDTH + COUNT_WIDTH + UNIT_WIDTH + 1)}${'US$'.padStart(USD_WIDTH)}`,
    ...lines,
    total,
    '',
    ...others,
    '',
    quotaLine(bill.requestsPerSecond),
  ]
    .map((line) => line.trimEnd())
    .join('\n')}\n`;
}

function summary(workload: Workload): string {
  const { clients, hours, publishes, audience, sent, bytes, heartbeat, session, transports, polling } =
    workload;
  const parts = [
    `${whole(clients)} clients for ${whole(hours)} hours, pinged every ${heartbeat} min, connected anew every ${session} min ` +
      `(${transports === 'default' ? 'polling first' : 'WebSocket only'}${polling === 0 ? '' : `, ${polling} % stay with polling`})`,
    `${whole(publishes)} publishes to ${whole(audience)} each, ${whole(sent)} events of clients, ${whole(bytes)} bytes each`,
  ];
  return parts.join('\n');
}

function quotaLine(perSecond: number): string {
  const percent = ((100 * perSecond) / QUOTA).toFixed(1);
  const average = `On average ${whole(perSecond)} requests/s, ${percent} % of API Gateway's usual quota`;
  return perSecond > QUOTA ? `${average}: it has to be raised.` : `${average}.`;
}

function whole(count: number): string {
  return Math.round(count).toLocaleString('en');
}

function dollars(usd: number | undefined): string {
  const text =
    usd === undefined
      ? 'no price'
      : usd.toLocaleString('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
  return text.padStart(USD_WIDTH);
}
