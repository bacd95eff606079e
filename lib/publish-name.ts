/** How a function that may publish learns the name of `publish`. */
import { Annotations } from 'aws-cdk-lib';
import type { Function as LambdaFunction } from 'aws-cdk-lib/aws-lambda';

/** Where an `Emitter` looks for the function to invoke. */
const PUBLISH_VARIABLE = 'SOCKETBUS_PUBLISH_FUNCTION';

/** The function that each was told first; CDK lets nobody read a function's variables. */
const told = new WeakMap<LambdaFunction, LambdaFunction>();

/**
 * Writes the name into the function's environment. There is room for one: it stays that of the first bus, and synth warns by a
 * stable id, which `Annotations.of(grantee).acknowledgeWarning` takes.
 */
export function tellPublishName(grantee: LambdaFunction, publish: LambdaFunction): void {
  const first = told.get(grantee) ?? publish;
  told.set(grantee, first);
  if (first === publish) {
    grantee.addEnvironment(PUBLISH_VARIABLE, publish.functionName);
    return;
  }
  Annotations.of(grantee).addWarningV2(
    'socketbus:several-buses',
    `${PUBLISH_VARIABLE} names ${first.node.path}, which it was granted first, so \`new Emitter()\` publishes to that bus alone. ` +
      `For ${publish.node.path}, put bus.functions.byName.publish.functionName into a variable of your own, and its value ` +
      'into `new Emitter({ functionName })`.',
  );
}
