/** What `recovered` says: the client has the session that it left, as it left it, and may have it. */
import { readSocket } from '../../lambdas/adapters/rows.ts';
import { RECOVERY_WINDOW_MS } from '../../lambdas/bus/recovery.ts';
import type { Row } from './expressions.ts';
import type { Ground } from './ground.ts';
import { CLOCK_MS, lineEnd, type Session } from './sessions.ts';

/** Between the end of a connection and its being written down, where nothing fails. */
const CLOSING_MS = 10_000;

/** @param row of the socket when the client asks for it */
export function isRefused(row: Row | undefined, now: number): boolean {
  if (row === undefined) return true;
  const { session, state } = readSocket(row);
  if (session === undefined || session.ended) return true;
  // Between two clocks.
  return state === 'closed' && (session.closedAt ?? now) + RECOVERY_WINDOW_MS + 2 * CLOCK_MS < now;
}

/** @param row of the socket when its client has the CONNECT reply */
export function checkRecovered(ground: Ground, session: Session, sid: string, row: Row | undefined): void {
  const { label, shown, line } = session;
  const complain = (what: string): void => ground.violation(`${label} was recovered ${what}`);
  if (shown === undefined) {
    complain('and has shown nothing');
    return;
  }
  if (sid !== line.sid) complain(`to another socket, ${sid} and not ${line.sid}`);
  if (shown.isRefused) complain('to what the server had given up');
  if (line.isOver && ground.isFaultless) complain('to what it or the server had left');
  if (row === undefined) complain('to nothing');
  else checkData(session, row, complain);
}

function checkData({ line }: Session, row: Row, complain: (what: string) => void): void {
  const kept = Object.entries(readSocket(row).data).find(([key]) => key.endsWith(':noted'))?.[1];
  const lastKept = line.notes.findLastIndex(({ isKept }) => isKept);
  const possible = line.notes.slice(Math.max(lastKept, 0)).map(({ value }) => value);
  const isNone = kept === undefined && lastKept < 0;
  if (!isNone && !possible.includes(kept as number))
    complain(`with the data ${String(kept)}, not one of ${possible.join(', ')}`);
}

/** Where nothing fails and nobody ended the session, who comes back in time has it. */
export function checkFresh(ground: Ground, { label, shown, askedAt }: Session): void {
  if (shown === undefined || !ground.isFaultless) return;
  const { line, isRefused } = shown;
  if (isRefused || line.isOver || line.mayBeOver || line.sessions.some(({ expectsCut }) => expectsCut))
    return;
  if (lineEnd(line) + RECOVERY_WINDOW_MS - CLOSING_MS > askedAt)
    ground.violation(`${label} was not recovered, for no reason`);
}
