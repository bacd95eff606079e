/** The functions' logs on a terminal: one readable line each. */
import * as z from 'zod/mini';
import type { LogEntry } from './host/invocation.ts';

/** What Powertools for AWS Lambda writes, as far as we read it; the rest are the entry's own members. */
const recordSchema = z.looseObject({
  level: z.string(),
  message: z.string(),
  timestamp: z.optional(z.string()),
});

/** On every line, and of no use on a terminal. */
const NOISE = new Set([
  'level',
  'message',
  'timestamp',
  'service',
  'sampling_rate',
  'xray_trace_id',
  'cold_start',
]);
const CONTEXT = /^function_|^(requestId|correlation_id)$/;

export interface LogLineOptions {
  /** Show every member of an entry, and metrics. */
  readonly debug: boolean;
  /** Leave the functions' lines as they are. */
  readonly json: boolean;
}

/**
 * The line of an entry; undefined for metrics, which are written to the log only because CloudWatch reads it, and for
 * what the stack itself says to those who debug.
 */
export function logLine(entry: LogEntry, { debug, json }: LogLineOptions): string | undefined {
  const record = parseRecord(entry.line);
  if (json) return record === undefined ? JSON.stringify(entry) : entry.line;
  if (record !== undefined && '_aws' in record && !debug) return undefined;
  if (entry.stream === 'platform' && record?.level === 'DEBUG' && !debug) return undefined;
  const parsed = recordSchema.safeParse(record);
  const level = parsed.success ? parsed.data.level : plainLevel(entry);
  const message = parsed.success ? `${parsed.data.message}${members(parsed.data, debug)}` : entry.line;
  const request = entry.requestId === undefined ? '' : `  [${entry.requestId.slice(0, 8)}]`;
  return `${level.padEnd(5)} ${entry.function.padEnd(10)} ${message}${request}`;
}

function plainLevel({ stream, line }: LogEntry): string {
  if (stream === 'stdout') return 'INFO';
  return stream === 'platform' && !line.startsWith('Invoke Error') ? 'WARN' : 'ERROR';
}

function members(record: Readonly<Record<string, unknown>>, debug: boolean): string {
  const kept = Object.entries(record).filter(([name]) => debug || !(NOISE.has(name) || CONTEXT.test(name)));
  const rest = debug ? kept.filter(([name]) => name !== 'message' && name !== 'level') : kept;
  return rest.length === 0 ? '' : ` ${JSON.stringify(Object.fromEntries(rest))}`;
}

function parseRecord(line: string): Record<string, unknown> | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    // A line that only looks like JSON is text.
    return undefined;
  }
}
