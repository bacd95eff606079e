/** `npm run replay`: does again what a dead-letter queue holds. Exit codes: 0 all of it, 1 not all, 2 not understood. */
import type { LambdaClientConfig } from '@aws-sdk/client-lambda';
import {
  explain,
  isLocal,
  LOCAL_ENDPOINT,
  localIdentity,
  parsedOptions,
  UsageError,
  webUrl,
} from './local-defaults.ts';
import {
  describe,
  HIDDEN_SECONDS,
  Replayer,
  type ReplayLine,
  type ReplayOptions,
  type ReplaySummary,
} from './replayer.ts';

const USAGE = `npm run replay -- --queue <url|arn|name> [options]     does again what was given up, and takes it out of the queue

  --queue <queue>     the stack's output DeadLetterQueueUrl, or the queue's ARN or name
  --dry-run           say what would be done, and leave all of it as it is
  --max <n>           replay n messages at most                 (default: until the queue is empty)
  --endpoint <url>    where SQS and Lambda are, for example ${LOCAL_ENDPOINT}, the local stack
                      (default: where the queue's URL says; for an ARN or a name, AWS)
  --help              show this

For each message one line of JSON: which function, since when, how often tried, but nothing of its payload. What is read
is hidden from others until this ends; cut off, it leaves that hidden for up to ${HIDDEN_SECONDS / 60} minutes.

Environment: SOCKETBUS_ENDPOINT stands for --endpoint where --queue is no URL, and AWS_* are credentials and region as
everywhere.
Exit codes: 0 all was replayed (or shown), 1 something was not, 2 the command line cannot be understood.
`;

const OPTIONS = {
  queue: { type: 'string', short: 'q' },
  'dry-run': { type: 'boolean' },
  max: { type: 'string' },
  endpoint: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

type Options = ReturnType<typeof parsed>;

const parsed = (args: readonly string[]) => parsedOptions(args, OPTIONS);

/** The queue as it was named, and where it is. */
interface Place {
  readonly queue:
    | { readonly url: string }
    | { readonly name: string; readonly accountId?: string | undefined };
  /** Undefined where that is the SDK's to know. */
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
}

const AWS_HOST = /(?:^|\.)sqs(?:-fips)?\.([\w-]+)\.(?:vpce\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws)$/;
const QUEUE_ARN = /^arn:[^:]+:sqs:([\w-]+):(\d{12}):([\w-]+)$/;
const QUEUE_NAME = /^[\w-]{1,80}$/;

/** What is given wins over what the queue's name says, and that over the environment. */
function placeOf(options: Options, environment: NodeJS.ProcessEnv): Place {
  const { queue } = options;
  if (queue === undefined) throw new UsageError('--queue is missing');
  const given = options.endpoint === undefined ? undefined : webUrl('--endpoint', options.endpoint);
  if (/^https?:/.test(queue)) {
    const { hostname, origin, pathname } = new URL(webUrl('--queue', queue));
    if (pathname.split('/').filter(Boolean).length < 2)
      throw new UsageError(`--queue is a URL without an account and a name: "${queue}"`);
    const [isAws, region] = AWS_HOST.exec(hostname) ?? [];
    return { queue: { url: queue }, endpoint: given ?? (isAws === undefined ? origin : undefined), region };
  }
  const endpoint = given ?? (environment.SOCKETBUS_ENDPOINT || environment.AWS_ENDPOINT_URL || undefined);
  const [, region, accountId, name] = QUEUE_ARN.exec(queue) ?? [];
  if (name !== undefined) return { queue: { name, accountId }, endpoint, region };
  if (QUEUE_NAME.test(queue)) return { queue: { name: queue }, endpoint, region: undefined };
  throw new UsageError(`--queue must be the URL, the ARN or the name of a queue, not "${queue}"`);
}

function maxOf({ max }: Options): number {
  if (max === undefined) return Number.POSITIVE_INFINITY;
  if (/^[1-9]\d{0,8}$/.test(max)) return Number(max);
  throw new UsageError(`--max must be a whole number from 1, not "${max}"`);
}

/** Of the client of both services. */
function clientConfig({ endpoint, region }: Place, environment: NodeJS.ProcessEnv): LambdaClientConfig {
  const place = region === undefined ? {} : { region };
  const local = endpoint === undefined ? {} : { endpoint, ...localIdentity(endpoint, environment) };
  return {
    ...local,
    ...place,
    requestHandler: { connectionTimeout: 3_000, requestTimeout: 20_000, throwOnRequestTimeout: true },
  };
}

async function replay(
  place: Place,
  settings: Pick<ReplayOptions, 'dryRun' | 'max' | 'report'>,
): Promise<ReplaySummary> {
  // Loading them takes longer than all that a mistaken command line needs.
  const [{ GetQueueUrlCommand, SQSClient }, { LambdaClient }] = await Promise.all([
    import('@aws-sdk/client-sqs'),
    import('@aws-sdk/client-lambda'),
  ]);
  const config = clientConfig(place, process.env);
  const sqs = new SQSClient(config);
  const lambda = new LambdaClient(config);
  const urlOf = async ({ name, accountId }: Extract<Place['queue'], { name: string }>) => {
    const owner = accountId === undefined ? {} : { QueueOwnerAWSAccountId: accountId };
    return (await sqs.send(new GetQueueUrlCommand({ QueueName: name, ...owner }))).QueueUrl ?? '';
  };
  try {
    const queueUrl = 'url' in place.queue ? place.queue.url : await urlOf(place.queue);
    return await new Replayer({ sqs, lambda, queueUrl, ...settings }).run();
  } finally {
    sqs.destroy();
    lambda.destroy();
  }
}

function print(line: ReplayLine): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function summary(
  { replayed, wouldReplay, left, notDeleted, hidden }: ReplaySummary,
  dryRun: boolean,
): string {
  const stays = `${left} left in the queue`;
  const minutes = HIDDEN_SECONDS / 60;
  return [
    dryRun ? `${wouldReplay} would be replayed, ${stays}` : `${replayed} replayed, ${stays}`,
    ...(notDeleted === 0 ? [] : [`${notDeleted} replayed but not deleted`]),
    ...(hidden === 0 ? [] : [`${hidden} hidden for up to ${minutes} minutes`]),
  ].join(', ');
}

/** What helps with a failure, where we know. */
function hint(error: unknown, { endpoint }: Place): string {
  if (endpoint === undefined)
    return error instanceof Error && /^(CredentialsProviderError|Error)$/.test(error.name)
      ? `; the queue is taken to be on AWS; one of the local stack: --endpoint ${LOCAL_ENDPOINT}`
      : '';
  const isUnreachable = error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED';
  return isUnreachable && isLocal(endpoint) ? `; is "npm start" running at ${new URL(endpoint).origin}?` : '';
}

async function main(): Promise<number> {
  // The SDK's notice about future versions of Node would come before every result.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  const options = parsed(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const dryRun = options['dry-run'] === true;
  const place = placeOf(options, process.env);
  const max = maxOf(options);
  try {
    const done = await replay(place, { dryRun, max, report: print });
    process.stderr.write(`${summary(done, dryRun)}\n`);
    return done.left + done.notDeleted === 0 || dryRun ? 0 : 1;
  } catch (error) {
    process.stderr.write(`not replayed: ${describe(error)}${hint(error, place)}\n`);
    return 1;
  }
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(explain(error, 'replay'));
    process.exitCode = 2;
  },
);
