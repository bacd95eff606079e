import type { LocalStack } from './stack.ts';

/** What is printed when somebody's stack is ready; the first line is that of `npm start`, so that scripts can wait for it. */
export function otherWelcome(stack: LocalStack, token: string): string {
  const { origin, deployment, credentials } = stack;
  const { stackName, region, functions, outputs, leftOut } = deployment;
  const { accessKeyId, secretAccessKey } = credentials;
  const publish = `{"op":"emit","event":"hello","args":["everybody"]}`;
  const parts = [
    `socketbus ready on ${origin}`,
    table(`The stack ${stackName}; its outputs here:`, outputs),
    leftOut.length === 0 ? '' : `Left out, because it does not run here:\n\n${indented(leftOut)}`,
    `Its functions, by the names that they have here:\n\n${indented([...functions.keys()])}`,
    `A token for user 1, ana, good for 8 hours:\n\n${token}`,
    `Publish to everybody, signed with the local keys:\n\n${[
      `curl -s --aws-sigv4 "aws:amz:${region}:execute-api" --user ${accessKeyId}:${secretAccessKey}`,
      `-H 'content-type: application/json' -d '${publish}' ${origin}/publish`,
    ].join(' ')}`,
    `Programs find AWS here with AWS_ENDPOINT_URL=${origin} AWS_REGION=${region} and these keys.`,
    'Ctrl-C stops it.',
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

function table(title: string, values: ReadonlyMap<string, string>): string {
  if (values.size === 0) return '';
  const width = Math.max(...[...values.keys()].map((name) => name.length));
  return `${title}\n\n${indented([...values].map(([name, value]) => `${name.padEnd(width)}  ${value}`))}`;
}

function indented(lines: readonly string[]): string {
  return lines.map((line) => `  ${line}`).join('\n');
}
