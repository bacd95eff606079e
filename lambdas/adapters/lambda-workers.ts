/** Work handed to other functions by asynchronous invocation. */
import { UnavailableError } from '../bus/errors.ts';
import type { DeliverWork, OpenWork, ReapWork, Workers } from '../bus/ports.ts';

/** Names of the functions; undefined for those that this one never asks. */
export interface WorkerFunctions {
  readonly open: string | undefined;
  readonly deliver: string | undefined;
}

export class LambdaWorkers implements Workers {
  readonly #functions: WorkerFunctions;
  #client: ReturnType<typeof loadClient> | undefined;

  constructor(functions: WorkerFunctions) {
    this.#functions = functions;
    // Who opens connections asks at each; for all others it is a fifth of their code, and seldom needed.
    if (functions.open !== undefined) this.#load().catch(() => {});
  }

  open(work: OpenWork): Promise<void> {
    return this.#invoke('open', work);
  }

  deliver(work: DeliverWork): Promise<void> {
    return this.#invoke('deliver', work);
  }

  reap(work: ReapWork): Promise<void> {
    return this.#invoke('deliver', work);
  }

  async #invoke(name: keyof WorkerFunctions, work: OpenWork | DeliverWork | ReapWork): Promise<void> {
    const FunctionName = this.#functions[name];
    if (FunctionName === undefined)
      throw new UnavailableError(`this function may not ask ${name} for anything`);
    const Payload = Buffer.from(JSON.stringify(work));
    const { client, InvokeCommand } = await this.#load();
    await client.send(new InvokeCommand({ FunctionName, InvocationType: 'Event', Payload }));
  }

  #load(): ReturnType<typeof loadClient> {
    this.#client ??= loadClient();
    return this.#client;
  }
}

async function loadClient() {
  const { InvokeCommand, LambdaClient } = await import('@aws-sdk/client-lambda');
  const client = new LambdaClient({
    requestHandler: { connectionTimeout: 1_000, requestTimeout: 5_000, throwOnRequestTimeout: true },
  });
  return { client, InvokeCommand };
}
