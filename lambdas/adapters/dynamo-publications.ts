/** Named messages on DynamoDB: one row each, one conditional write to begin and one to end. */
import type { Json, Millis, NamedPublication, Publications } from '../bus/ports.ts';
import { publicationKey } from './keys.ts';
import { publicationEnd, ROW_VERSION } from './rows.ts';
import { TableCalls, type TableCallsOptions } from './table-calls.ts';

export class DynamoPublications implements Publications {
  readonly #calls: TableCalls;
  readonly #now: () => Millis;

  constructor(options: TableCallsOptions) {
    this.#calls = new TableCalls(options);
    this.#now = () => options.clock.now();
  }

  async claim(
    { namespace, name, hash }: NamedPublication,
    owner: string,
    until: Millis,
  ): Promise<'claimed' | 'busy' | 'other' | { readonly result: Json }> {
    const now = this.#now();
    const key = publicationKey(namespace, name);
    const claimed = await this.#calls.update({
      Key: key,
      UpdateExpression: 'SET #hash = :hash, #owner = :owner, lease = :until, v = :v, t = :t',
      // A row that has expired is none, though it may still be there.
      ConditionExpression:
        'attribute_not_exists(p) OR t <= :seconds OR (#hash = :hash AND attribute_not_exists(answer) AND (lease < :now OR #owner = :owner))',
      ExpressionAttributeNames: { '#hash': 'hash', '#owner': 'owner' },
      ExpressionAttributeValues: {
        ':hash': hash,
        ':owner': owner,
        ':until': until,
        ':now': now,
        ':seconds': Math.floor(now / 1_000),
        ':v': ROW_VERSION,
        ':t': publicationEnd(now),
      },
    });
    if (claimed !== undefined) return 'claimed';
    const row = await this.#calls.get(key);
    if (row === undefined) return 'busy';
    if (row.hash !== hash) return 'other';
    return typeof row.answer === 'string' ? { result: JSON.parse(row.answer) as Json } : 'busy';
  }

  async finish({ namespace, name }: NamedPublication, owner: string, result: Json): Promise<void> {
    await this.#calls.update({
      Key: publicationKey(namespace, name),
      UpdateExpression: 'SET answer = :answer',
      ConditionExpression: '#owner = :owner',
      ExpressionAttributeNames: { '#owner': 'owner' },
      ExpressionAttributeValues: { ':owner': owner, ':answer': JSON.stringify(result) },
    });
  }

  async release({ namespace, name }: NamedPublication, owner: string): Promise<void> {
    await this.#calls.update({
      Key: publicationKey(namespace, name),
      UpdateExpression: 'SET lease = :now',
      ConditionExpression: '#owner = :owner AND attribute_not_exists(answer)',
      ExpressionAttributeNames: { '#owner': 'owner' },
      ExpressionAttributeValues: { ':owner': owner, ':now': 0 },
    });
  }
}
