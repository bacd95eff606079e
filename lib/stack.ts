import { CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { SocketBus, type SocketBusProps } from './socket-bus.ts';

export interface SocketBusStackProps
  extends SocketBusProps,
    Pick<StackProps, 'env' | 'stackName' | 'description'> {}

/** A stack with one deployment in it and what its users need to know as outputs. */
export class SocketBusStack extends Stack {
  readonly bus: SocketBus;

  constructor(scope: Construct, id: string, props: SocketBusStackProps = {}) {
    const { env, stackName, description, ...bus } = props;
    super(scope, id, {
      ...(env && { env }),
      ...(stackName && { stackName }),
      description: description ?? 'Socket.IO without a server',
    });
    this.bus = new SocketBus(this, 'Bus', bus);
    this.#outputs(this.bus);
  }

  #outputs({ gateway, http, frontDoor, events, functions, store, configuration }: SocketBus): void {
    const outputs = {
      ...(frontDoor && { Url: [frontDoor.url, 'What clients dial'] as const }),
      WebSocketUrl: [gateway.url, 'The WebSocket API by its own name'],
      WebSocketPath: [configuration.wsPath, 'The `path` of clients that come through a front door'],
      HttpUrl: [http.url, "The applications' HTTP routes"],
      PublishFunctionName: [functions.byName.publish.functionName, 'What a backend invokes to publish'],
      PublishUrl: [http.publishUrl, 'Where a backend posts signed publish requests'],
      EventBusName: [
        events.bus.eventBusName,
        'Where other systems ask for a publish and hear of client events',
      ],
      DeadLetterQueueUrl: [
        events.deadLetters.queueUrl,
        'Publishes and parts of broadcasts that were given up, for `npm run replay`',
      ],
      BusTableName: [store.bus.tableName, 'Connections, sockets, memberships'],
      AppsTableName: [store.apps.tableName, 'What applications keep'],
    } as const;
    for (const [name, [value, description]] of Object.entries(outputs)) {
      new CfnOutput(this, name, { value, description });
    }
  }
}
