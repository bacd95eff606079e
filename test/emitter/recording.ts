import type { Transport } from '../../emitter/index.ts';
import type { PublishRequestInput, PublishResult } from '../../lambdas/contract/publish.ts';

export const REPORT = {
  ok: true,
  id: 'AAAAAAAAAAAAAAAAAAAA',
  offset: null,
  audience: 2,
  posted: 2,
  gone: 0,
  failed: 0,
  ranges: 0,
} as const satisfies PublishResult;

/** A transport that remembers what it was given and answers as a test says. */
export class RecordingTransport implements Transport {
  readonly sent: PublishRequestInput[] = [];
  answer: (request: PublishRequestInput) => Promise<PublishResult> = async () => REPORT;

  send(request: PublishRequestInput): Promise<PublishResult> {
    this.sent.push(request);
    return this.answer(request);
  }
}
