/**
 * Another team's CDK app with a SocketBus in it: `npx cdk deploy`, or `npx socketbus-local` to run it on this machine.
 * Customers hear of their orders from a function of the shop, and from what the warehouse puts on the account's event bus.
 */
import { join } from 'node:path';
import { App, CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import { EventField } from 'aws-cdk-lib/aws-events';
import { Runtime } from 'aws-cdk-lib/aws-lambda';
import { NodejsFunction } from 'aws-cdk-lib/aws-lambda-nodejs';
import { BlockPublicAccess, Bucket } from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import { SocketBus } from 'socketbus';

class OrdersStack extends Stack {
  constructor(scope: Construct, id: string, props: StackProps = {}) {
    super(scope, id, props);
    const bus = new SocketBus(this, 'Bus', {
      apps: [join(import.meta.dirname, 'customers.ts')],
      origins: ['https://shop.example'],
    });

    const receipts = new Bucket(this, 'Receipts', { blockPublicAccess: BlockPublicAccess.BLOCK_ALL });
    const placeOrder = new NodejsFunction(this, 'PlaceOrder', {
      entry: join(import.meta.dirname, 'place-order.ts'),
      runtime: Runtime.NODEJS_24_X,
      environment: { RECEIPTS: receipts.bucketName },
      // The SDK goes along, so that what runs is what was tested.
      bundling: { externalModules: [] },
    });
    receipts.grantPut(placeOrder);
    bus.grantPublish(placeOrder);

    bus.addPublishRule(
      { source: ['shop.warehouse'], detailType: ['Order Shipped'] },
      {
        rooms: [`customer:${EventField.fromPath('$.detail.customerId')}`],
        event: 'order-shipped',
        args: [{ orderId: EventField.fromPath('$.detail.orderId'), at: EventField.time }],
      },
    );

    bus.metric('Failed').createAlarm(this, 'NotDelivered', { threshold: 100, evaluationPeriods: 1 });
    new CfnOutput(this, 'SocketUrl', { value: bus.url });
  }
}

new OrdersStack(new App(), 'Orders');
