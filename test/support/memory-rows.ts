import type { Json, Rows } from '../../lambdas/bus/ports.ts';

/** The rows port in memory; sort keys in the order of their UTF-8 bytes. */
export function memoryRows(): Rows {
  const partitions = new Map<string, Map<string, Json>>();
  const rowsOf = (partition: string): Map<string, Json> => {
    const rows = partitions.get(partition) ?? new Map<string, Json>();
    partitions.set(partition, rows);
    return rows;
  };
  return {
    put: async (partition, sort, value, options = {}) => {
      if (options.ifAbsent === true && rowsOf(partition).has(sort)) return false;
      rowsOf(partition).set(sort, structuredClone(value) as Json);
      return true;
    },
    get: async (partition, sort) => rowsOf(partition).get(sort),
    query: async (partition, { after, limit, descending = false }) => {
      const direction = descending ? -1 : 1;
      return [...rowsOf(partition)]
        .map(([sort, value]) => ({ sort, value }))
        .sort((one, other) => direction * Buffer.compare(Buffer.from(one.sort), Buffer.from(other.sort)))
        .filter(
          ({ sort }) =>
            after === undefined || direction * Buffer.compare(Buffer.from(sort), Buffer.from(after)) > 0,
        )
        .slice(0, limit);
    },
    delete: async (partition, sorts) => {
      return [...new Set(sorts)].filter((sort) => rowsOf(partition).delete(sort)).length;
    },
  };
}
