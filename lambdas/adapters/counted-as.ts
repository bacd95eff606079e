/**
 * Whom a socket counts as in its rooms, as its row remembers it: what is asked again when it leaves may be answered
 * otherwise. An attribute for each room, so that rows of earlier versions need no map to hold them.
 */
import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import type { PresenceChange, Who } from '../bus/ports.ts';

const PREFIX = 'who:';

/** Parts of expressions on a socket's row. */
export interface CountedAs {
  readonly names: Readonly<Record<string, string>>;
  readonly values: Readonly<Record<string, Who>>;
  readonly sets: readonly string[];
  readonly removes: readonly string[];
  /** Conditions. */
  readonly freeOrSame: readonly string[];
  readonly same: readonly string[];
}

export function countedAs(changes: readonly PresenceChange[]): CountedAs {
  return {
    names: Object.fromEntries(changes.map(({ room }, i) => [`#w${i}`, `${PREFIX}${room}`])),
    values: Object.fromEntries(changes.map(({ who }, i) => [`:w${i}`, who])),
    sets: changes.map((_, i) => `#w${i} = :w${i}`),
    removes: changes.map((_, i) => `#w${i}`),
    freeOrSame: changes.map((_, i) => `(attribute_not_exists(#w${i}) OR #w${i} = :w${i})`),
    same: changes.map((_, i) => `#w${i} = :w${i}`),
  };
}

/** Whether the row of a refused transaction names somebody else for one of the rooms. */
export function countsAsOther(
  row: Readonly<Record<string, AttributeValue>> | undefined,
  changes: readonly PresenceChange[],
): boolean {
  return changes.some(({ room, who }) => {
    const known = row?.[`${PREFIX}${room}`];
    return known !== undefined && (known.S ?? Number(known.N)) !== who;
  });
}

export function rememberedWhos(row: Readonly<Record<string, unknown>>): {
  readonly presences?: Readonly<Record<string, Who>>;
} {
  const known = Object.entries(row).filter(([name]) => name.startsWith(PREFIX));
  if (known.length === 0) return {};
  return {
    presences: Object.fromEntries(known.map(([name, who]) => [name.slice(PREFIX.length), who as Who])),
  };
}
