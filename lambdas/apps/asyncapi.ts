/**
 * The AsyncAPI 3 document of applications, made of the schemas the server checks with: one channel per application,
 * an operation per event and direction (https://www.asyncapi.com/docs/reference/specification/v3.0.0). `receive` is
 * what clients emit, `send` is what they hear: the document describes the server.
 */
import * as z from 'zod/mini';
import type { Application, Schema } from '../bus/public.ts';
import { id, timestamp } from './define-app.ts';

/** What people are told about one application, beside its schemas. */
export interface ApplicationTexts {
  readonly summary: string;
  /** By event. */
  readonly client: Readonly<Record<string, string>>;
  readonly server: Readonly<Record<string, string>>;
  /** By prefix: what the rest of a room's name is, and who is in it. */
  readonly rooms: Readonly<Record<string, { readonly rest: string; readonly summary: string }>>;
}

export interface AsyncApiOptions {
  readonly title: string;
  readonly version: string;
  readonly description: string;
  /** By the application's name; what is missing is left out of the document. */
  readonly texts?: Readonly<Record<string, ApplicationTexts | undefined>>;
}

type JsonObject = { readonly [key: string]: unknown };

const COMPONENTS = '#/components';
const ACKNOWLEDGEMENT = 'acknowledgement';
const FAILED = 'An action failed; the acknowledgement, where one was asked for, says the same.';

/** The event of a failure where an application has no error event of its own (`AppDefinition.onError`). */
const errorEvent = z.object({
  message: z.string(),
  code: z.string(),
  event: z.string(),
  timestamp: timestamp(),
});

/**
 * The document, as data: equal applications give an equal document, in the order of the applications and their events.
 * @throws Error where a payload has no JSON schema, or two events would share a key
 */
export function asyncApiDocument(applications: readonly Application[], options: AsyncApiOptions): JsonObject {
  const { title, version, description, texts = {} } = options;
  const described = applications.map((application) => new Described(application, texts[application.name]));
  return {
    asyncapi: '3.0.0',
    info: { title, version, description, license: { name: 'Apache-2.0' } },
    servers: {
      local: {
        host: 'localhost:3000',
        pathname: '/socket.io/',
        protocol: 'ws',
        protocolVersion: 'Engine.IO 4, Socket.IO 5',
        description: 'What `npm start` runs. A deployment has its own host, with `wss`.',
      },
    },
    defaultContentType: 'application/json',
    channels: Object.fromEntries(described.map((each) => [each.name, each.channel()])),
    operations: merged(described.map((each) => each.operations())),
    components: {
      messages: merged([
        ...described.map((each) => each.messages()),
        {
          [ACKNOWLEDGEMENT]: {
            name: ACKNOWLEDGEMENT,
            title: 'Acknowledgement',
            summary: 'Answers a client event to which the client gave a callback.',
            payload: { $ref: `${COMPONENTS}/schemas/Acknowledgement` },
          },
        },
      ]),
      schemas: { Id: ID, Json: JSON_VALUE, Acknowledgement: ACKNOWLEDGEMENT_SCHEMA },
    },
  };
}

/** Names of every event that a server may emit, by application, as the document has them. */
export function documentedServerEvents(document: JsonObject): Map<string, ReadonlySet<string>> {
  const { channels, components } = document as {
    readonly channels: Readonly<Record<string, { readonly messages: Readonly<Record<string, unknown>> }>>;
    readonly components: { readonly messages: Readonly<Record<string, { readonly name: string }>> };
  };
  const names = Object.entries(channels).map(([application, { messages }]) => {
    const sent = Object.keys(messages).filter((key) => key.startsWith('send.'));
    const events = sent.map((key) => components.messages[`${application}.${key}`]?.name ?? '');
    return [application, new Set(events)] as const;
  });
  return new Map(names);
}

type Direction = 'receive' | 'send';

interface DescribedEvent {
  readonly direction: Direction;
  readonly name: string;
  readonly schema: Schema | undefined;
  readonly summary: string | undefined;
  readonly forwarded: boolean;
}

class Described {
  readonly #application: Application;
  readonly #texts: ApplicationTexts | undefined;
  readonly #events: readonly DescribedEvent[];

  constructor(application: Application, texts: ApplicationTexts | undefined) {
    this.#application = application;
    this.#texts = texts;
    this.#events = [...clientEvents(application, texts), ...serverEvents(application, texts)];
  }

  get name(): string {
    return this.#application.name;
  }

  channel(): JsonObject {
    const { namespace } = this.#application;
    const summary = this.#texts?.summary;
    const keys = this.#events.map(key);
    return {
      address: namespace,
      title: this.name,
      ...(summary === undefined ? {} : { summary }),
      description: this.#description(),
      servers: [{ $ref: '#/servers/local' }],
      messages: {
        ...Object.fromEntries(
          keys.map((each) => [each, { $ref: `${COMPONENTS}/messages/${this.name}.${each}` }]),
        ),
        [ACKNOWLEDGEMENT]: { $ref: `${COMPONENTS}/messages/${ACKNOWLEDGEMENT}` },
      },
      'x-rooms': Object.entries(this.#application.rooms).map(([prefix, { hot = false }]) => ({
        room: roomPattern(prefix, this.#texts),
        ...(hot ? { hot } : {}),
      })),
    };
  }

  operations(): JsonObject {
    const channel = { $ref: `#/channels/${this.name}` };
    const message = (each: string) => ({ $ref: `#/channels/${this.name}/messages/${each}` });
    return keyed(this.#events, this.name, (event) => ({
      action: event.direction,
      channel,
      ...(event.summary === undefined ? {} : { summary: event.summary }),
      messages: [message(key(event))],
      ...(event.direction === 'receive' ? { reply: { channel, messages: [message(ACKNOWLEDGEMENT)] } } : {}),
      ...(event.forwarded ? { 'x-forwarded': true } : {}),
    }));
  }

  messages(): JsonObject {
    return keyed(this.#events, this.name, ({ name, schema, summary }) => ({
      name,
      title: name,
      ...(summary === undefined ? {} : { summary }),
      ...payload(schema),
    }));
  }

  #description(): string {
    const { namespace, rooms } = this.#application;
    const where = `Lives on the namespace \`${namespace}\`.`;
    const kinds = Object.keys(rooms).map((prefix) => {
      const summary = this.#texts?.rooms[prefix]?.summary;
      return `- \`${roomPattern(prefix, this.#texts)}\`${summary === undefined ? '' : `: ${summary}`}`;
    });
    return kinds.length === 0 ? `${where} It has no rooms.` : [`${where} Rooms:`, '', ...kinds].join('\n');
  }
}

function clientEvents(application: Application, texts: ApplicationTexts | undefined): DescribedEvent[] {
  return Object.entries(application.clientEvents).map(([name, { payload: schema, forward = false }]) => ({
    direction: 'receive',
    name,
    schema,
    summary: texts?.client[name],
    forwarded: forward,
  }));
}

function serverEvents(application: Application, texts: ApplicationTexts | undefined): DescribedEvent[] {
  const declared: Readonly<Record<string, Schema>> = application.serverEvents;
  const failures =
    application.onError === undefined && !Object.hasOwn(declared, 'error') ? { error: errorEvent } : {};
  return Object.entries({ ...declared, ...failures }).map(([name, schema]) => ({
    direction: 'send',
    name,
    schema,
    summary: texts?.server[name] ?? (Object.hasOwn(failures, name) ? FAILED : undefined),
    forwarded: false,
  }));
}

function roomPattern(prefix: string, texts: ApplicationTexts | undefined): string {
  return `${prefix}{${texts?.rooms[prefix]?.rest ?? 'name'}}`;
}

/** Component keys are of letters, digits, `.`, `-` and `_` only (specification, Components Object). */
function key({ direction, name }: DescribedEvent): string {
  return `${direction}.${name.replace(/[^\w-]/g, '.')}`;
}

function keyed(
  events: readonly DescribedEvent[],
  application: string,
  describe: (event: DescribedEvent) => JsonObject,
): JsonObject {
  return merged(events.map((event) => ({ [`${application}.${key(event)}`]: describe(event) })));
}

function merged(parts: readonly JsonObject[]): JsonObject {
  const all: Record<string, unknown> = {};
  for (const [name, value] of parts.flatMap((part) => Object.entries(part))) {
    if (Object.hasOwn(all, name)) throw new Error(`two events of the document share the key ${name}`);
    all[name] = value;
  }
  return all;
}

/** Nothing where the event has no argument at all. */
function payload(schema: Schema | undefined): JsonObject {
  if (schema === undefined || schema._zod.def.type === 'undefined') return {};
  return { payload: jsonSchema(schema) };
}

/** AsyncAPI's own schemas are a superset of JSON Schema draft 7 (specification, Schema Object). */
function jsonSchema(schema: Schema): unknown {
  const { $schema: _dialect, definitions = {}, ...body } = rawSchema(schema);
  return withReferences(body, definitions as JsonObject);
}

function rawSchema(schema: Schema): JsonObject {
  return z.toJSONSchema(schema, { target: 'draft-7', io: 'input' }) as JsonObject;
}

const ID = withoutDialect(rawSchema(id()), 'An id: `7` and `"7"` name the same room; echoes keep the type.');

const JSON_VALUE = {
  description: 'Any JSON value.',
  type: ['string', 'number', 'boolean', 'null', 'array', 'object'],
};

const FAILURE = {
  type: 'object',
  properties: {
    code: {
      type: 'string',
      enum: ['invalid_payload', 'unauthenticated', 'forbidden', 'not_found', 'rate_limited', 'internal'],
    },
    message: { type: 'string' },
    field: { type: 'string', description: 'Which part of the payload is wrong.' },
  },
  required: ['code', 'message'],
};

const ACKNOWLEDGEMENT_SCHEMA = {
  oneOf: [
    {
      type: 'object',
      description: 'The action is done; further keys are by event.',
      properties: { ok: { const: true } },
      required: ['ok'],
    },
    {
      type: 'object',
      properties: { ok: { const: false }, error: FAILURE },
      required: ['ok', 'error'],
    },
  ],
};

function withoutDialect({ $schema: _dialect, ...body }: JsonObject, description: string): JsonObject {
  return { description, ...body };
}

const ID_FORM = JSON.stringify({ anyOf: ID.anyOf });
const REFERENCE = /^#\/definitions\/(.+)$/;

/** Ids and JSON values become the document's shared schemas: recursive references of zod are local to one payload. */
function withReferences(value: unknown, definitions: JsonObject): unknown {
  if (Array.isArray(value)) return value.map((each) => withReferences(each, definitions));
  if (typeof value !== 'object' || value === null) return value;
  if (JSON.stringify(value) === ID_FORM) return { $ref: `${COMPONENTS}/schemas/Id` };
  const { $ref, allOf, ...rest } = value as JsonObject;
  // zod writes an optional reference as `allOf` of one.
  if (Array.isArray(allOf) && allOf.length === 1 && Object.keys(rest).length === 0) {
    return withReferences(allOf[0], definitions);
  }
  if (typeof $ref === 'string') return reference($ref, definitions);
  return Object.fromEntries(
    Object.entries(value).map(([name, each]) => [name, withReferences(each, definitions)]),
  );
}

function reference($ref: string, definitions: JsonObject): JsonObject {
  const name = REFERENCE.exec($ref)?.[1];
  if (name !== undefined && isJsonValue(definitions[name])) return { $ref: `${COMPONENTS}/schemas/Json` };
  throw new Error(`a recursive payload other than z.json() cannot be documented: ${$ref}`);
}

/** Whether a definition is what zod makes of `z.json()`, whatever it is called there. */
function isJsonValue(definition: unknown): boolean {
  const anonymous = (value: unknown) => JSON.stringify(value)?.replaceAll(/"\$ref":"[^"]*"/g, '"$ref":"#"');
  return anonymous(definition) === JSON_FORM;
}

const JSON_FORM = JSON.stringify({ anyOf: rawSchema(z.json()).anyOf });
