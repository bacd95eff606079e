/**
 * The configuration of a deployment: one schema, three ways in. The CDK app reads it from the environment and from
 * the CDK context, the construct takes the same values as props. The environment wins over the context: the context
 * is what a checkout remembers, the environment is what this one run is told. A variable set to nothing is not set.
 * No secret is a setting: the template names secrets, it never holds one.
 */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import * as z from 'zod/mini';
import { BUILT_IN_APPLICATIONS } from '../lambdas/contract/applications.ts';
import { TRANSPORTS } from '../lambdas/contract/environment.ts';
import { DEFAULT_LIMITS, LIMIT_RANGES, LIMIT_VARIABLES, type Limits } from '../lambdas/contract/limits.ts';
import { ConfigurationError, type ConfigurationIssue, shown } from './errors.ts';
import { pathCollision } from './paths.ts';

/** Retentions that CloudWatch Logs offers, in days (API reference, PutRetentionPolicy). */
const RETENTIONS = [
  1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
];

const list = z.pipe(
  z.transform((value: unknown) => (typeof value === 'string' ? value.split(',') : value)),
  z.pipe(
    z.array(z.string(), { error: () => 'must be a comma list or an array of texts' }),
    z.transform((items: string[]) => items.map((item) => item.trim()).filter((item) => item !== '')),
  ),
);

function integer(min: number, max: number) {
  const error = () => `must be a whole number from ${min} to ${max}`;
  return z.pipe(
    z.transform((value: unknown) => (typeof value === 'string' ? Number(value) : value)),
    z.int({ error }).check(z.gte(min, { error }), z.lte(max, { error })),
  );
}

function limit(name: keyof Limits) {
  return z._default(integer(...LIMIT_RANGES[name]), DEFAULT_LIMITS[name]);
}

function pattern(shape: RegExp, meaning: string) {
  const error = () => `must be ${meaning}`;
  return z.string({ error }).check(z.regex(shape, { error }));
}

const flag = z.pipe(
  z.transform((value: unknown) => (value === 'true' ? true : value === 'false' ? false : value)),
  z.boolean({ error: () => 'must be true or false' }),
);

/** `DEBUG=socket.io*` is the habit this keeps: any text turns it on, but what plainly says no. */
const debug = z.pipe(
  z.transform((value: unknown) => (typeof value === 'string' ? !['false', '0'].includes(value) : value)),
  z.boolean({ error: () => 'must be a text or true or false' }),
);

const origins = list.check(
  z.refine((items: string[]) => items.every((item) => item === '*' || isOrigin(item)), {
    error: () => 'must be a comma list of exact origins such as https://app.example (or * for any)',
  }),
);

/** Where one application's own pages are: never anywhere, and setting it to nothing would be a mistake. */
const ownOrigins = list.check(
  z.refine((items: string[]) => items.length > 0 && items.every(isOrigin), {
    error: () => 'must be a comma list of exact origins such as https://app.example',
  }),
);

const notTransports = () => `must be a comma list of ${TRANSPORTS.join(' and ')}`;
const transports = z.pipe(
  list,
  z.array(z.enum(TRANSPORTS, { error: notTransports })).check(z.minLength(1, { error: notTransports })),
);

/** An application is named (built-in) or given by the path of its module. */
export function isModulePath(app: string): boolean {
  return /[\\/]/.test(app) || /\.[cm]?[jt]s$/.test(app);
}

function applicationIssue(app: string, directory: string): string | undefined {
  if (!isModulePath(app)) {
    const known: readonly string[] = BUILT_IN_APPLICATIONS;
    return known.includes(app)
      ? undefined
      : `knows no application "${app}" (built in: ${known.join(', ')}; a module path has a "/")`;
  }
  const file = statSync(resolve(directory, app), { throwIfNoEntry: false });
  return file?.isFile() ? undefined : `names the module "${app}", and there is no such file`;
}

function applications(directory: string) {
  return list.check((context) => {
    const apps = context.value;
    const messages = apps.map((app) => applicationIssue(app, directory)).filter((it) => it !== undefined);
    if (apps.length === 0) messages.push('must name at least one application');
    if (new Set(apps).size < apps.length) messages.push('names an application twice');
    for (const message of messages) context.issues.push({ code: 'custom', input: apps, message });
  });
}

/**
 * The one schema of the configuration.
 *
 * @param directory where relative module paths in `apps` start
 */
function configurationSchema(directory: string) {
  return z.object({
    /** Applications to run, in order: built-in names or module paths. */
    apps: z._default(applications(directory), [...BUILT_IN_APPLICATIONS]),
    /** Stage of the WebSocket API, the last part of its URL. */
    stage: z._default(pattern(/^[\w-]{1,128}$/, '1 to 128 letters, digits, "-" or "_"'), 'prod'),
    /** Minutes between two pings; the platform cuts sockets that are idle for 10. */
    pingIntervalMinutes: z._default(integer(1, 8), 4),
    /** Minutes a client waits beyond the interval. */
    pingTimeoutMinutes: z._default(integer(2, 8), 2),
    /** Whether pongs are written down, one write each. */
    trackPongs: z._default(flag, true),
    /** Engine.IO's transports that clients may use. */
    transports: z._default(transports, [...TRANSPORTS]),
    /** Seconds a long-polling request waits for something to say. */
    pollHoldSeconds: z._default(integer(1, 25), 5),
    /** API Gateway's request quota of the account in this Region (10,000/s where AWS has not raised it). */
    requestsPerSecond: z._default(integer(100, 1_000_000), 10_000),
    /** How many recipients a broadcast posts to in the invocation that asked for it. */
    inlinePosts: z._default(integer(1, 5_000), 500),
    /** What one client may do. */
    eventsPerSecond: limit('eventsPerSecond'),
    eventBurst: limit('eventBurst'),
    roomsPerSocket: limit('roomsPerSocket'),
    joinsPerSecond: limit('joinsPerSecond'),
    connectionsPerUser: limit('connectionsPerUser'),
    connectionsPerAddress: limit('connectionsPerAddress'),
    payloadBytes: limit('payloadBytes'),
    postsPerEvent: limit('postsPerEvent'),
    /** Origins allowed beside those that the applications declare; `*` for any. */
    origins: z._default(origins, []),
    /** `trusted` believes an id in a payload, `token` wants it proven by a verified token. */
    identity: z._default(z.enum(['token', 'trusted'], { error: () => 'must be token or trusted' }), 'token'),
    /** Secrets are named `{secretPrefix}/{NAME}` in Secrets Manager. */
    secretPrefix: z._default(
      pattern(/^[\w+=.@-]+(\/[\w+=.@-]+)*$/, 'letters, digits and "_+=.@-", parts divided by "/"'),
      'socketbus',
    ),
    /** Claim of a token that holds the user's id. */
    jwtIdClaim: z._default(pattern(/^\S+$/, 'the name of a claim, without spaces'), 'sub'),
    /** Key set that tokens are verified with, instead of the secret JWT_SECRET. */
    jwksUrl: z.optional(z.string().check(z.refine(isKeySetUrl, { error: () => 'must be an https URL' }))),
    /** Audiences, one of which a token must be for. */
    jwtAudience: z.optional(list.check(z.minLength(1, { error: () => 'must be a comma list of audiences' }))),
    /** Who must have issued a token. */
    jwtIssuer: z.optional(pattern(/^\S+$/, 'an issuer, without spaces')),
    /** Where the frontend of `watch-groups` lives. */
    frontendUrl: z.optional(
      z.string().check(z.refine((value) => isWebUrl(value), { error: () => 'must be an http or https URL' })),
    ),
    /** Browser origins of `storefront-chat`. */
    storeCors: z.optional(ownOrigins),
    /** Browser origins of `marketplace`, which cannot be deployed without. */
    clientOrigin: z.optional(ownOrigins),
    /** Whether there is one origin for everything, a CloudFront distribution. */
    frontDoor: z._default(flag, true),
    /** Path of the front door, without the slash that clients add. */
    wsPath: z._default(
      z.pipe(
        pattern(/^(\/[\w.~-]+)+\/?$/, 'a path such as /socket.io'),
        z.transform((path: string) => path.replace(/\/$/, '')),
      ),
      '/socket.io',
    ),
    /** Log at level DEBUG instead of INFO. */
    debug: z._default(debug, false),
    /** SNS topic that alarms tell. */
    alarmTopic: z.optional(
      z
        .string({ error: topicError })
        .check(z.refine((value) => hasToken(value) || TOPIC_ARN.test(value), { error: topicError })),
    ),
    /** Days after which CloudWatch deletes the logs. */
    logRetentionDays: z._default(
      z.pipe(
        z.transform((value: unknown) => (typeof value === 'string' ? Number(value) : value)),
        z
          .int({ error: retentionError })
          .check(z.refine((days: number) => RETENTIONS.includes(days), { error: retentionError })),
      ),
      30,
    ),
  });
}

/** A complete configuration, checked. */
export type Configuration = Readonly<z.output<ReturnType<typeof configurationSchema>>>;
export type SettingName = keyof Configuration;

/** The environment variable of each setting; its CDK context key is the setting's own name. */
export const ENVIRONMENT_NAMES: { readonly [S in SettingName]: string } = {
  apps: 'APPS',
  stage: 'STAGE',
  pingIntervalMinutes: 'PING_INTERVAL_MINUTES',
  pingTimeoutMinutes: 'PING_TIMEOUT_MINUTES',
  trackPongs: 'TRACK_PONGS',
  transports: 'TRANSPORTS',
  pollHoldSeconds: 'POLL_HOLD_SECONDS',
  requestsPerSecond: 'REQUESTS_PER_SECOND',
  inlinePosts: 'INLINE_POSTS',
  ...LIMIT_VARIABLES,
  origins: 'ORIGINS',
  identity: 'IDENTITY',
  secretPrefix: 'SECRET_PREFIX',
  jwtIdClaim: 'JWT_ID_CLAIM',
  jwksUrl: 'JWKS_URL',
  jwtAudience: 'JWT_AUDIENCE',
  jwtIssuer: 'JWT_ISSUER',
  frontendUrl: 'FRONTEND_URL',
  storeCors: 'STORE_CORS',
  clientOrigin: 'CLIENT_ORIGIN',
  frontDoor: 'FRONT_DOOR',
  wsPath: 'WS_PATH',
  debug: 'DEBUG',
  alarmTopic: 'ALARM_TOPIC',
  logRetentionDays: 'LOG_RETENTION_DAYS',
};

const SETTING_NAMES = Object.keys(ENVIRONMENT_NAMES) as SettingName[];

export interface ConfigurationSources {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Every context value of the app, ours and the CDK's. */
  readonly context: Readonly<Record<string, unknown>>;
  /** Where relative module paths start. @default the working directory */
  readonly directory?: string;
}

/**
 * Reads the configuration from the environment and, where a variable is missing, from the CDK context.
 *
 * @throws {ConfigurationError} with every wrong value, named as it was given, and every context key that looks like
 *   a misspelt setting
 */
export function readConfiguration(sources: ConfigurationSources): Configuration {
  const found = SETTING_NAMES.map((setting) => findSetting(setting, sources)).filter(
    (it) => it !== undefined,
  );
  const values = Object.fromEntries(found.map(({ setting, value }) => [setting, value]));
  const labels = new Map(found.map(({ setting, label }) => [setting as string, label]));
  const label = (setting: string) =>
    labels.get(setting) ?? ENVIRONMENT_NAMES[setting as SettingName] ?? setting;
  return parse(values, label, sources.directory ?? process.cwd(), misspeltKeys(sources.context));
}

/**
 * Reads only which applications there are, for a build, which needs no other setting.
 *
 * @throws {ConfigurationError} with every wrong name
 */
export function readApplications(sources: ConfigurationSources): readonly string[] {
  const directory = sources.directory ?? process.cwd();
  const found = findSetting('apps', sources);
  if (found === undefined) return [...BUILT_IN_APPLICATIONS];
  const result = applications(directory).safeParse(found.value);
  if (result.success) return result.data;
  throw new ConfigurationError(result.error.issues.map(({ message }) => ({ name: found.label, message })));
}

/**
 * Checks settings given in code and fills in the defaults; a setting that is `undefined` is not set.
 *
 * @param issuesSoFar what else is wrong, to be told with it
 * @throws {ConfigurationError} with every wrong value, by the setting's name
 */
export function completeConfiguration(
  settings: { readonly [S in SettingName]?: unknown },
  issuesSoFar: readonly ConfigurationIssue[] = [],
): Configuration {
  const values = Object.fromEntries(SETTING_NAMES.map((setting) => [setting, settings[setting]]));
  return parse(values, (setting) => setting, process.cwd(), issuesSoFar);
}

function findSetting(setting: SettingName, { environment, context }: ConfigurationSources) {
  const variable = ENVIRONMENT_NAMES[setting];
  const fromEnvironment = environment[variable]?.trim();
  if (fromEnvironment) return { setting, value: fromEnvironment, label: variable };
  const fromContext = context[setting];
  if (fromContext === undefined || fromContext === '') return undefined;
  return { setting, value: fromContext, label: `context ${setting}` };
}

function parse(
  values: Readonly<Record<string, unknown>>,
  label: (setting: string) => string,
  directory: string,
  issuesSoFar: readonly ConfigurationIssue[],
): Configuration {
  const result = configurationSchema(directory).safeParse(values);
  const missing = missingSettings(values).map(({ setting, message }) => ({ name: label(setting), message }));
  const collision = result.success ? pathCollision(result.data) : undefined;
  if (collision !== undefined) missing.push({ name: label('wsPath'), message: collision });
  if (result.success && missing.length === 0 && issuesSoFar.length === 0) return result.data;
  const wrong = (result.error?.issues ?? []).map((issue) => {
    const setting = String(issue.path[0]);
    const value = values[setting];
    if (typeof value === 'string' && hasToken(value)) {
      return { name: label(setting), message: `${issue.message}, written out: it is no token of CDK` };
    }
    // What is wrong with `apps` quotes the one application it is about.
    const given = setting === 'apps' ? '' : `, not ${shown(value)}`;
    return { name: label(setting), message: `${issue.message}${given}` };
  });
  throw new ConfigurationError([...wrong, ...missing, ...issuesSoFar]);
}

/** What an application cannot be deployed without. Looked for beside the schema, to be told with all that is wrong. */
function missingSettings(
  values: Readonly<Record<string, unknown>>,
): readonly { readonly setting: SettingName; readonly message: string }[] {
  const named = list.safeParse(values.apps ?? [...BUILT_IN_APPLICATIONS]);
  if (!named.data?.includes('marketplace') || values.clientOrigin !== undefined) return [];
  const message = 'is required by marketplace: the origins of its pages, such as https://market.example';
  return [{ setting: 'clientOrigin', message }];
}

/** A misspelt key would silently mean the default; the CDK's own keys have `:` or `@` and are left alone. */
function misspeltKeys(context: Readonly<Record<string, unknown>>): ConfigurationIssue[] {
  return Object.keys(context)
    .filter((key) => !/[:@/]/.test(key) && !SETTING_NAMES.some((setting) => setting === key))
    .flatMap((key) => {
      const meant = SETTING_NAMES.find((setting) => looksLike(key, setting));
      return meant ? [{ name: `context ${key}`, message: `is no setting; did you mean ${meant}?` }] : [];
    });
}

function looksLike(key: string, setting: string): boolean {
  const plain = (text: string) => text.toLowerCase().replace(/[^a-z]/g, '');
  const most = setting.length > 6 ? 2 : 1;
  return editDistance(plain(key), plain(setting)) <= most;
}

/** Levenshtein's distance, row by row. */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (const [line, letter] of [...from].entries()) {
    const next = [line + 1];
    for (const [column, other] of [...to].entries()) {
      const replaced = (row[column] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(replaced, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}

function retentionError(): string {
  return `must be a number of days that CloudWatch Logs offers (${RETENTIONS.join(', ')})`;
}

const TOPIC_ARN = /^arn:[\w-]+:sns:[\w-]*:\d*:[\w-]+$/;

function topicError(): string {
  return 'must be the ARN of an SNS topic (a topic of a CDK app goes into the prop monitoring: { topic })';
}

/** What is in place of a text that only a deployment knows (CDK guide, "Tokens"). Builds read settings without loading CDK. */
const TOKEN = /\$\{Token\[[\w.-]+\]\}/g;

function hasToken(value: string): boolean {
  return value.search(TOKEN) >= 0;
}

/** A URL in which what nobody knows yet is taken for right: its beginning for an origin, any other part for a name. */
function assumed(value: string): string {
  return value.replace(TOKEN, (_, at: number) => (at === 0 ? 'https://token' : 'token'));
}

function isWebUrl(value: string): boolean {
  const url = assumed(value);
  return URL.canParse(url) && ['http:', 'https:'].includes(new URL(url).protocol);
}

/** Whoever can change what is read there can sign tokens. On the machine itself nobody is in between. */
function isKeySetUrl(value: string): boolean {
  const url = assumed(value);
  if (!URL.canParse(url)) return false;
  const { protocol, hostname, username, password } = new URL(url);
  if (username !== '' || password !== '') return false;
  return protocol === 'https:' || (protocol === 'http:' && LOOPBACK.includes(hostname));
}

const LOOPBACK = ['localhost', '127.0.0.1', '[::1]'];

function isOrigin(value: string): boolean {
  return isWebUrl(value) && new URL(assumed(value)).origin === assumed(value);
}
