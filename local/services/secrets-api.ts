/** Secrets Manager's GetSecretValue, answered from the settings of the laptop (design D12). */
import { createHash } from 'node:crypto';
import * as z from 'zod/mini';
import type { Need } from '../iam/policy.ts';

export interface JsonReply {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface SecretsOptions {
  /** Values by the last part of the secret's name: `JWT_SECRET` for `socketbus/JWT_SECRET`. */
  readonly settings: Readonly<Record<string, string>>;
  readonly region: string;
  readonly accountId: string;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

const requestSchema = z.looseObject({
  SecretId: z.string().check(z.minLength(1), z.maxLength(2048)),
  VersionStage: z.optional(z.string()),
});

const SECRET_ARN = /^arn:[^:]+:secretsmanager:[^:]*:[^:]*:secret:/;
/** Secrets Manager puts a hyphen and six characters behind the name in an ARN. */
const ARN_SUFFIX = /-[A-Za-z0-9]{6}$/;

/** Answers one operation of `secretsmanager.*`; only GetSecretValue exists. */
export function answerSecrets(operation: string, request: unknown, options: SecretsOptions): JsonReply {
  if (operation !== 'GetSecretValue')
    return refused('UnknownOperationException', `${operation} does not run locally`);
  const parsed = requestSchema.safeParse(request);
  if (!parsed.success) return refused('InvalidParameterException', 'You must provide a valid SecretId.');
  const { SecretId: id, VersionStage: stage = 'AWSCURRENT' } = parsed.data;
  const name = secretName(id, options.settings);
  const value = name === undefined ? undefined : options.settings[settingOf(name)];
  if (name === undefined || value === undefined || stage !== 'AWSCURRENT') {
    return refused('ResourceNotFoundException', "Secrets Manager can't find the specified secret.");
  }
  return { status: 200, body: described(name, value, options) };
}

/** What GetSecretValue needs; of a secret that is not there what it would need, so that its absence is what is told. */
export function secretsNeeds(operation: string, request: unknown, options: SecretsOptions): Need[] {
  const parsed = requestSchema.safeParse(request);
  if (!parsed.success) return [];
  const { SecretId: id } = parsed.data;
  const name = secretName(id, options.settings);
  const resource = name === undefined && SECRET_ARN.test(id) ? id : secretArn(name ?? id, options);
  return [{ action: `secretsmanager:${operation}`, resource }];
}

function secretArn(name: string, { region, accountId }: SecretsOptions): string {
  return `arn:aws:secretsmanager:${region}:${accountId}:secret:${name}-local0`;
}

function secretName(id: string, settings: Readonly<Record<string, string>>): string | undefined {
  const name = id.replace(SECRET_ARN, '');
  const names = name === id ? [name] : [name, name.replace(ARN_SUFFIX, '')];
  return names.find((candidate) => Object.hasOwn(settings, settingOf(candidate)));
}

function settingOf(name: string): string {
  return name.slice(name.lastIndexOf('/') + 1);
}

function described(name: string, value: string, options: SecretsOptions): JsonReply['body'] {
  const version = createHash('sha256').update(`${name}\0${value}`).digest('hex').slice(0, 32);
  return {
    ARN: secretArn(name, options),
    Name: name,
    VersionId: version.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'),
    SecretString: value,
    VersionStages: ['AWSCURRENT'],
    CreatedDate: Math.floor(options.now() / 1000),
  };
}

function refused(type: string, message: string): JsonReply {
  return { status: 400, body: { __type: type, Message: message } };
}
