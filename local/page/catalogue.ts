/** What the page offers: the applications of the deployment, as their definitions describe them. */
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Application } from '../../lambdas/bus/public.ts';
import { type Example, exampleOf } from './example.ts';

interface OfferedEvent extends Example {
  readonly event: string;
}

interface OfferedCall {
  readonly call: string;
  /** A list of arguments. */
  readonly args: unknown;
}

interface OfferedApplication {
  readonly name: string;
  readonly namespace: string;
  /** What goes into `auth`; null where nothing is asked for. */
  readonly credential: 'token' | 'apiKey' | null;
  /** Keys of payloads in which clients say who they are. */
  readonly identityKeys: readonly string[];
  readonly clientEvents: readonly OfferedEvent[];
  readonly serverEvents: readonly OfferedEvent[];
  /** Prefixes of its rooms. */
  readonly rooms: readonly string[];
  readonly calls: readonly OfferedCall[];
}

export interface Catalogue {
  readonly applications: readonly OfferedApplication[];
  /** Applications that could not be read, with the reason. */
  readonly unreadable: readonly { readonly name: string; readonly reason: string }[];
}

/** Where clients name themselves; the page fills in who its user is. */
const IDENTITY_KEYS = ['userId', 'customerId', 'username', 'id'];
/** A definition says that it authenticates, not by what; all but this one take tokens. */
const WITH_API_KEY = 'order-sync';

/**
 * Reads the definitions of the applications that a deployment runs.
 *
 * @param apps the names and module paths of the setting `apps`, as functions get them
 */
export async function readCatalogue(apps: readonly string[]): Promise<Catalogue> {
  const read = await Promise.all(apps.map(readApplications));
  return {
    applications: read.flatMap((result) => ('applications' in result ? result.applications : [])),
    unreadable: read.flatMap((result) => ('reason' in result ? [result] : [])),
  };
}

type Read =
  | { readonly applications: readonly OfferedApplication[] }
  | { readonly name: string; readonly reason: string };

async function readApplications(app: string): Promise<Read> {
  try {
    // Only when the page asks: a start that nobody looks at need not load them.
    const { builtIns } = await import('../../lambdas/apps/registry.ts');
    const builtIn = Object.hasOwn(builtIns, app) ? builtIns[app] : undefined;
    const applications = builtIn === undefined ? await importedFrom(app) : [builtIn];
    return { applications: applications.map(offered) };
  } catch (error) {
    return { name: app, reason: error instanceof Error ? error.message : String(error) };
  }
}

async function importedFrom(path: string): Promise<readonly Application[]> {
  const module = (await import(pathToFileURL(resolve(path)).href)) as { readonly default: unknown };
  return [module.default].flat() as Application[];
}

function offered(application: Application): OfferedApplication {
  const { name, namespace, auth, rooms, clientEvents, serverEvents, backend } = application;
  const events = Object.entries(clientEvents).map(([event, { payload }]) => ({
    event,
    ...exampleOf(payload),
  }));
  return {
    name,
    namespace,
    credential: auth === undefined ? null : name === WITH_API_KEY ? 'apiKey' : 'token',
    identityKeys: IDENTITY_KEYS.filter((key) => events.some(({ payload }) => has(payload, key))),
    clientEvents: events,
    serverEvents: Object.entries(serverEvents).map(([event, schema]) => ({ event, ...exampleOf(schema) })),
    rooms: Object.keys(rooms),
    calls: Object.entries(backend).map(([call, { args }]) => ({
      call,
      args: exampleOf(args).payload ?? [],
    })),
  };
}

function has(payload: unknown, key: string): boolean {
  return typeof payload === 'object' && payload !== null && Object.hasOwn(payload, key);
}
