/** `npm run emit`: publishes an event from a terminal. Exit codes: 0 published, 1 not published, 2 not understood. */
import {
  Emitter,
  type EmitterOptions,
  EmitterOptionsError,
  PayloadError,
  PublishError,
} from '../emitter/index.ts';
import {
  explain,
  isLocal,
  LOCAL_CREDENTIALS,
  LOCAL_ENDPOINT,
  LOCAL_REGION,
  localIdentity,
  parsedOptions,
  UsageError,
  webUrl,
} from './local-defaults.ts';

const USAGE = `npm run emit -- --event <name> [options]     publishes an event and prints the result as one line of JSON

  --room <name>       to the sockets of this room; several times: to all of them together
                      without it: to every socket of the namespace
  --event <name>      the event's name
  --data <json>       an argument of the event, for example '{"text":"hi"}' or '"hi"'; several times: several arguments
  --namespace <name>  (default /)
  --except <name>     but not to the sockets of this room; may be given several times
  --volatile          one try per recipient
  --endpoint <url>    where the Lambda API is                   (default ${LOCAL_ENDPOINT}, the local stack)
  --function <name>   name or ARN of the publish function       (default publish)
  --url <url>         publish by signed HTTP, to the stack's output PublishUrl
  --help              show this

Environment: SOCKETBUS_ENDPOINT, SOCKETBUS_PUBLISH_FUNCTION, SOCKETBUS_PUBLISH_URL stand for the last three options, and
AWS_* are credentials and region as everywhere. With a function and no endpoint, the function is one on AWS.
Exit codes: 0 published, 1 not published, 2 the command line cannot be understood.
`;

const OPTIONS = {
  room: { type: 'string', multiple: true, short: 'r' },
  event: { type: 'string', short: 'e' },
  data: { type: 'string', multiple: true, short: 'd' },
  namespace: { type: 'string' },
  except: { type: 'string', multiple: true },
  volatile: { type: 'boolean' },
  endpoint: { type: 'string' },
  function: { type: 'string' },
  url: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;

type Options = ReturnType<typeof parsed>;

const parsed = (args: readonly string[]) => parsedOptions(args, OPTIONS);

/** One argument of the event per `--data`. */
function eventArguments(texts: readonly string[]): unknown[] {
  return texts.map((text) => {
    try {
      return JSON.parse(text) as unknown;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new UsageError(`--data is not JSON: ${reason} (given: ${text})`);
    }
  });
}

/** Where to publish: what is given wins over the environment, and that over the local stack. */
function emitterOptions(options: Options, environment: NodeJS.ProcessEnv): EmitterOptions {
  if (options.url !== undefined && options.function !== undefined)
    throw new UsageError('--url and --function exclude each other');
  const url = options.url ?? (options.function === undefined ? environment.SOCKETBUS_PUBLISH_URL : undefined);
  if (url) return { url: webUrl('--url', url), ...localIdentity(url, environment) };
  const functionName = options.function ?? environment.SOCKETBUS_PUBLISH_FUNCTION;
  const endpoint = options.endpoint ?? endpointOf(environment, functionName);
  return {
    functionName: functionName || 'publish',
    ...(endpoint === undefined
      ? {}
      : { endpoint: webUrl('--endpoint', endpoint), ...localIdentity(endpoint, environment) }),
  };
}

function endpointOf(environment: NodeJS.ProcessEnv, functionName: string | undefined): string | undefined {
  const { SOCKETBUS_ENDPOINT, AWS_ENDPOINT_URL_LAMBDA, AWS_ENDPOINT_URL } = environment;
  const given = SOCKETBUS_ENDPOINT || AWS_ENDPOINT_URL_LAMBDA || AWS_ENDPOINT_URL;
  return given || (functionName ? undefined : LOCAL_ENDPOINT);
}

async function publish(options: Options, emitterSettings: EmitterOptions): Promise<unknown> {
  const { event, room = [], except = [], namespace = '/', data = [] } = options;
  if (event === undefined) throw new UsageError('--event is missing');
  const args = eventArguments(data);
  const target = new Emitter(emitterSettings).of(namespace).to(room).except(except);
  return (options.volatile ? target.volatile : target).emit(event, ...args);
}

/** What helps with a failure, where we know. */
function hint(error: PublishError, { endpoint, url }: EmitterOptions): string {
  const address = url ?? endpoint;
  if (address === undefined || !isLocal(address)) return '';
  if (error.code === 'unreachable') return `; is "npm start" running at ${new URL(address).origin}?`;
  if (error.code !== 'forbidden') return '';
  const { AWS_ACCESS_KEY_ID, AWS_REGION, AWS_DEFAULT_REGION } = process.env;
  if (AWS_ACCESS_KEY_ID)
    return `; signed with AWS_ACCESS_KEY_ID of the environment, but the local stack knows "${LOCAL_CREDENTIALS.accessKeyId}"`;
  const region = AWS_REGION || AWS_DEFAULT_REGION || LOCAL_REGION;
  return `; signed for ${region}: a stack whose env names another Region wants AWS_REGION set to that`;
}

function print(result: unknown): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

async function main(): Promise<number> {
  // The SDK's notice about future versions of Node would come before every result.
  process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= 'true';
  const options = parsed(process.argv.slice(2));
  if (options.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const settings = emitterOptions(options, process.env);
  try {
    print(await publish(options, settings));
    return 0;
  } catch (error) {
    if (!(error instanceof PublishError)) throw error;
    const { code, message, field, retryable } = error;
    print({ ok: false, error: { code, message, retryable, ...(field === undefined ? {} : { field }) } });
    process.stderr.write(`not published: ${code}: ${message}${hint(error, settings)}\n`);
    return 1;
  }
}

function explainEmit(error: unknown): string {
  if (error instanceof PayloadError || error instanceof EmitterOptionsError) return `${error.message}\n`;
  return explain(error, 'emit');
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(explainEmit(error));
    process.exitCode = 2;
  },
);
