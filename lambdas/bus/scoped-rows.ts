import type { Rows } from './ports.ts';

/** A view of the rows in which every partition belongs to one owner; application names hold no `#`. */
export function scopedRows(rows: Rows, owner: string): Rows {
  const scoped = (partition: string): string => `${owner}#${partition}`;
  return {
    put: (partition, sort, value, options) => rows.put(scoped(partition), sort, value, options),
    get: (partition, sort) => rows.get(scoped(partition), sort),
    query: (partition, query) => rows.query(scoped(partition), query),
    delete: (partition, sorts) => rows.delete(scoped(partition), sorts),
  };
}
