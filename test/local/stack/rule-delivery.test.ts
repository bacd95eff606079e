import { expect, test } from 'vitest';
import { StackClock } from '../../../local/clock.ts';
import type { QueueMessage } from '../../../local/host/destinations.ts';
import { UnknownFunctionError } from '../../../local/host/errors.ts';
import { RuleDelivery } from '../../../local/services/rule-delivery.ts';
import { parseInputTransformer } from '../../../local/template/input-transformer.ts';

const ruleArn = 'arn:aws:events:us-east-1:123456789012:rule/Heard';
const target = {
  functionName: 'listen',
  functionArn: 'arn:aws:lambda:us-east-1:123456789012:function:listen',
  input: undefined,
  transform: undefined,
  retries: 2,
  maxAgeSeconds: 3_600,
  deadLetterQueue: 'arn:aws:sqs:us-east-1:123456789012:Lost',
};

class Denied extends Error {
  readonly code = 'access_denied';
  readonly retryable: boolean = false;
}
class Unavailable extends Error {
  readonly retryable = true;
}

/** A delivery whose first handovers fail with these errors. */
function delivery(...errors: readonly Error[]) {
  const clock = new StackClock();
  const invoked: string[] = [];
  const sent: QueueMessage[] = [];
  const left = [...errors];
  const invoke = (name: string, payload: string, rule: string) => {
    const error = left.shift();
    if (error !== undefined) throw error;
    invoked.push(`${rule} ${name} ${payload}`);
    return { attempted: Promise.resolve() };
  };
  const rules = new RuleDelivery({ clock, invoke, send: (message) => sent.push(message) });
  return { clock, invoked, sent, rules, left };
}

const attributesOf = ({ attributes }: QueueMessage) =>
  Object.fromEntries(Object.entries(attributes).map(([name, { StringValue }]) => [name, StringValue]));

test('a rule tries again when it cannot hand an event over for the moment', async () => {
  const { clock, invoked, sent, rules } = delivery(new Unavailable(), new Unavailable());
  const delivered = rules.deliver(ruleArn, target, { id: 1 });
  await clock.advance(1_000);
  expect(invoked).toEqual([]);
  await clock.advance(2_000);
  await delivered;
  expect(invoked).toEqual([`${ruleArn} listen {"id":1}`]);
  expect(sent).toEqual([]);
});

test('a rule hands over what its transformer makes of the event, and gives up what that makes no JSON of', async () => {
  const { invoked, sent, rules } = delivery();
  const transformer = (InputTemplate: string) =>
    parseInputTransformer({ InputPathsMap: { id: '$.id' }, InputTemplate }, 'Rule');
  await rules.deliver(ruleArn, { ...target, transform: transformer('{"made":<id>}') }, { id: 1 });
  await rules.deliver(ruleArn, { ...target, transform: transformer('{"made":<id>') }, { id: 1 });
  expect(invoked).toEqual([`${ruleArn} listen {"made":1}`]);
  expect(sent.map(({ body }) => body)).toEqual(['{"id":1}']);
});

test.each([
  ['is not allowed to', new Denied('no policy'), 'NO_PERMISSIONS', 'no policy'],
  [
    'has no function for',
    new UnknownFunctionError('listen'),
    'NO_RESOURCE',
    'no function named "listen" is deployed',
  ],
])(
  'an event that the rule %s hand over goes to the dead-letter queue at once',
  async (_why, error, code, message) => {
    const { sent, rules } = delivery(error);
    await rules.deliver(ruleArn, { ...target, input: { constant: true } }, { id: 1 });
    // What was to be handed over is made again from it.
    expect(sent).toMatchObject([{ queueArn: target.deadLetterQueue, body: '{"id":1}' }]);
    expect(attributesOf(sent[0]!)).toEqual({
      RULE_ARN: ruleArn,
      TARGET_ARN: target.functionArn,
      ERROR_CODE: code,
      ERROR_MESSAGE: message,
      RETRY_ATTEMPTS: '0',
    });
  },
);

test.each([
  ['often', { retries: 1 }, 'MaximumRetryAttempts', '1'],
  ['long', { maxAgeSeconds: 2 }, 'MaximumEventAgeInSeconds', '1'],
])('an event that was tried too %s goes there too', async (_how, changes, condition, attempts) => {
  const { clock, sent, rules } = delivery(new Unavailable('busy'), new Unavailable('busy'));
  const delivered = rules.deliver(ruleArn, { ...target, ...changes }, { id: 1 });
  await clock.advance(1_000);
  await delivered;
  expect(attributesOf(sent[0]!)).toMatchObject({
    EXHAUSTED_RETRY_CONDITION: condition,
    RETRY_ATTEMPTS: attempts,
    ERROR_MESSAGE: 'busy',
  });
});

test('an event of a target without a queue is lost, and so is one that the queue refuses', async () => {
  const { sent, rules } = delivery(new Denied('no'));
  await rules.deliver(ruleArn, { ...target, deadLetterQueue: undefined }, {});
  expect(sent).toEqual([]);
  const clock = new StackClock();
  const fail = () => {
    throw new Denied('no');
  };
  await new RuleDelivery({ clock, invoke: fail, send: fail }).deliver(ruleArn, target, {});
});

test('a delivery that is closed tries nothing again', async () => {
  const { clock, invoked, sent, rules } = delivery(new Unavailable());
  const delivered = rules.deliver(ruleArn, target, {});
  rules.close();
  await clock.advance(1_000);
  await delivered;
  expect([invoked, sent]).toEqual([[], []]);
});
