/** An emit of the publish contract that waits for answers. */
import type { AskResult, EmitRequest } from '../contract/publish.ts';
import { type Answers, Question } from './acks.ts';
import type { Bus } from './context.ts';
import { BusError } from './errors.ts';
import { newId } from './names.ts';
import { reapLater } from './reaping.ts';

type Responses = AskResult['responses'];

/** A Lambda's answer may have 6 MB (Lambda quotas page); the rest of it is small. */
const MAX_RESPONSES_BYTES = 5_500_000;

/**
 * @param args what is emitted, binary values in place
 * @throws BusError `invalid_payload` with the field `rooms` for more than 1,000 recipients; nothing was sent
 */
export async function askForBackend(
  bus: Bus,
  { namespace, rooms, except, event, flags, id }: EmitRequest,
  args: readonly unknown[],
): Promise<AskResult> {
  const options = { timeoutMs: flags.ackTimeoutMs, volatile: flags.volatile === true };
  const question = new Question(bus, namespace, event, args, options);
  const asked = await question.askAll({ namespace, rooms, except });
  const { posted, gone, failed } = asked.report;
  await reapLater(bus, gone);
  const answers = await question.answers(asked);
  return {
    ok: true,
    id: id ?? newId(bus.random),
    // Who was away cannot answer for a server that no longer waits: such an event is not recovered.
    offset: null,
    audience: asked.recipients,
    posted,
    gone: gone.length,
    failed,
    ranges: 0,
    responses: jsonResponses(answers),
    missing: answers.missing,
  };
}

/** @throws BusError `internal`, not to be repeated: the clients have been asked */
function jsonResponses({ responses }: Answers): Responses {
  const texts = responses.map((response) => JSON.stringify(response ?? null));
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text) + 1, 0);
  if (bytes > MAX_RESPONSES_BYTES) {
    throw new BusError('internal', `the answers are ${bytes} bytes, more than ${MAX_RESPONSES_BYTES}`, {
      retryable: false,
    });
  }
  return texts.map((text) => JSON.parse(text) as Responses[number]);
}
