/** Application events for other systems, by EventBridge. */
import type { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { UnavailableError } from '../bus/errors.ts';
import type { ForwardedEvent, Forwarder } from '../bus/ports.ts';
import { FORWARD_DETAIL_TYPE, FORWARD_SOURCE } from '../contract/event-bridge.ts';

export class EventBridgeForwarder implements Forwarder {
  readonly #eventBus: string | undefined;
  #client: Promise<EventBridgeClient> | undefined;

  /** @param eventBus name of the deployment's event bus */
  constructor(eventBus: string | undefined) {
    this.#eventBus = eventBus;
  }

  async forward(event: ForwardedEvent): Promise<void> {
    // Most invocations forward nothing: the client is loaded by those that do.
    const { EventBridgeClient: Client, PutEventsCommand } = await import('@aws-sdk/client-eventbridge');
    this.#client ??= Promise.resolve(new Client({}));
    const { FailedEntryCount, Entries } = await (await this.#client).send(
      new PutEventsCommand({
        Entries: [
          {
            EventBusName: this.#eventBus,
            Source: FORWARD_SOURCE,
            DetailType: FORWARD_DETAIL_TYPE,
            Detail: JSON.stringify(event),
          },
        ],
      }),
    );
    if ((FailedEntryCount ?? 0) > 0) {
      throw new UnavailableError(`the event bus refused the event: ${Entries?.[0]?.ErrorCode ?? 'unknown'}`);
    }
  }
}
