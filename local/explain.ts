import { UsageError } from './command-line.ts';
import { PortInUseError } from './errors.ts';
import { FaultRulesError } from './faults/rules.ts';
import { SynthesisError } from './synthesis.ts';
import { TemplateError } from './template/errors.ts';

/** What a command prints before it fails: the reader's own mistakes by their message, ours with their trace. */
export function explain(error: unknown, usage: string): string {
  if (error instanceof UsageError) return `${error.message}\n\n${usage}`;
  const known = [PortInUseError, SynthesisError, TemplateError, FaultRulesError].some(
    (kind) => error instanceof kind,
  );
  if (error instanceof Error) return `${known ? error.message : error.stack}\n`;
  return `${String(error)}\n`;
}
