/** The rows of a running stack's bus table, for tests that ask what is left. */
import type { LocalStack } from '../../local/stack.ts';

export type BusRow = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** By the kind that their key begins with: connections, sockets, memberships and slots, due rows. */
export async function busRows(stack: LocalStack, kind: 'c' | 's' | 'm' | 'd'): Promise<BusRow[]> {
  const table = stack.deployment.tables.map(({ name }) => name).find((name) => /bus/i.test(name));
  const rows: BusRow[] = [];
  let ExclusiveStartKey: unknown;
  do {
    const request = ExclusiveStartKey === undefined ? {} : { ExclusiveStartKey };
    const reply = await stack.dynamodb!.handle('Scan', { TableName: table, ...request });
    const page = reply.body as { Items: BusRow[]; LastEvaluatedKey?: unknown };
    rows.push(...page.Items);
    ExclusiveStartKey = page.LastEvaluatedKey;
  } while (ExclusiveStartKey !== undefined);
  return rows.filter((row) => Buffer.from(String(row.p?.B), 'base64')[0] === kind.charCodeAt(0));
}

export interface Alive {
  readonly connections: number;
  readonly sockets: number;
  /** In rooms and namespaces. */
  readonly memberships: number;
  readonly slots: number;
}

/** How much of it says that somebody is there (design §4). */
export async function alive(stack: LocalStack): Promise<Alive> {
  const [connections, sockets, members] = await Promise.all([
    busRows(stack, 'c'),
    busRows(stack, 's'),
    busRows(stack, 'm'),
  ]);
  const slots = members.filter((row) => row.seen !== undefined).length;
  return {
    connections: connections.filter((row) => row.open?.BOOL === true).length,
    sockets: sockets.filter((row) => row.state?.S !== 'closed').length,
    memberships: members.length - slots,
    slots,
  };
}
