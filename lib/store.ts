import { RemovalPolicy } from 'aws-cdk-lib';
import { AttributeType, BillingMode, Table } from 'aws-cdk-lib/aws-dynamodb';
import { Construct } from 'constructs';

/** Attribute with the second at which DynamoDB may delete a row. */
const TTL_ATTRIBUTE = 't';

/**
 * The two tables. On-demand, no streams, no secondary indexes. Both are encrypted at rest with a key that DynamoDB
 * owns: a KMS key of the account would add a KMS request to the path of cold partitions and buys an audit trail only.
 */
export class Store extends Construct {
  /** Connections, sockets, memberships, slots, due rows: gone with the stack, no backups, everything expires. */
  readonly bus: Table;
  /** What applications keep: restorable to any second of the last 35 days, and kept when the stack goes. */
  readonly apps: Table;

  constructor(scope: Construct, id: string) {
    super(scope, id);
    this.bus = new Table(this, 'Bus', {
      // Binary keys: a broadcast reads one membership row per recipient, and every byte of it counts.
      partitionKey: { name: 'p', type: AttributeType.BINARY },
      sortKey: { name: 's', type: AttributeType.BINARY },
      billingMode: BillingMode.PAY_PER_REQUEST,
      timeToLiveAttribute: TTL_ATTRIBUTE,
      removalPolicy: RemovalPolicy.DESTROY,
    });
    this.apps = new Table(this, 'Apps', {
      partitionKey: { name: 'p', type: AttributeType.STRING },
      sortKey: { name: 's', type: AttributeType.STRING },
      billingMode: BillingMode.PAY_PER_REQUEST,
      timeToLiveAttribute: TTL_ATTRIBUTE,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      deletionProtection: true,
      removalPolicy: RemovalPolicy.RETAIN,
    });
  }
}
