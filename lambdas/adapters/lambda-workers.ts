/** Work handed to other functions by asynchronous invocation. */
import { InvokeCommand, LambdaClient } from '@aws-sdk/client-lambda';
import type { OpenWork, Workers } from '../bus/ports.ts';

export class LambdaWorkers implements Workers {
  readonly #client = new LambdaClient({
    requestHandler: { connectionTimeout: 1_000, requestTimeout: 5_000 },
  });
  readonly #openFunction: string;

  constructor(openFunction: string) {
    this.#openFunction = openFunction;
  }

  async open(work: OpenWork): Promise<void> {
    await this.#client.send(
      new InvokeCommand({
        FunctionName: this.#openFunction,
        InvocationType: 'Event',
        Payload: Buffer.from(JSON.stringify(work)),
      }),
    );
  }
}
