import type { Application, ClientEvent, RoomKind, Settings } from './application.ts';

/** The applications of a deployment do not fit together, or one is not a definition. */
export class ApplicationError extends Error {
  readonly code = 'invalid_application';
  readonly retryable = false;

  constructor(message: string) {
    super(message);
    this.name = 'ApplicationError';
  }
}

export interface RoomOwner {
  readonly application: Application;
  readonly prefix: string;
  readonly kind: RoomKind;
}

export interface Recovery {
  /** Whether an event is kept for those who come back. */
  isLogged(event: string): boolean;
}

/** Who owns which namespace, event and room prefix. */
export class Registry {
  readonly applications: readonly Application[];
  readonly #byNamespace = new Map<string, Application[]>();

  /** @throws ApplicationError where two applications claim one name, or one event or prefix of a namespace. */
  constructor(applications: readonly Application[]) {
    this.applications = applications;
    const names = new Set<string>();
    for (const application of applications) {
      if (names.has(application.name))
        throw new ApplicationError(`two applications are named ${application.name}`);
      names.add(application.name);
      refuseLogless(application);
      const neighbours = this.#byNamespace.get(application.namespace) ?? [];
      for (const neighbour of neighbours) refuseOverlap(application, neighbour);
      this.#byNamespace.set(application.namespace, [...neighbours, application]);
    }
  }

  application(name: string): Application | undefined {
    return this.applications.find((application) => application.name === name);
  }

  /** Undefined where nobody lives: Socket.IO's `Invalid namespace`. */
  namespace(namespace: string): readonly Application[] | undefined {
    return this.#byNamespace.get(namespace);
  }

  clientEvent(
    namespace: string,
    event: string,
  ): { readonly application: Application; readonly definition: ClientEvent } | undefined {
    for (const application of this.#byNamespace.get(namespace) ?? []) {
      if (!Object.hasOwn(application.clientEvents, event)) continue;
      const definition = application.clientEvents[event];
      if (definition !== undefined) return { application, definition };
    }
    return undefined;
  }

  /** The application that declared the longest prefix of this room's name. */
  roomOwner(namespace: string, room: string): RoomOwner | undefined {
    let owner: RoomOwner | undefined;
    for (const application of this.#byNamespace.get(namespace) ?? []) {
      for (const [prefix, kind] of Object.entries(application.rooms)) {
        if (room.startsWith(prefix) && prefix.length > (owner?.prefix.length ?? -1))
          owner = { application, prefix, kind };
      }
    }
    return owner;
  }

  /** How sockets of a namespace are recovered; undefined where they are not. */
  recovery(namespace: string): Recovery | undefined {
    const applications = this.#byNamespace.get(namespace) ?? [];
    if (applications.some(({ recovery }) => recovery === false)) return undefined;
    return {
      isLogged: (event) =>
        !applications.some(
          ({ recovery }) => recovery !== false && recovery?.unlogged?.includes(event) === true,
        ),
    };
  }

  /** The union of the applications' allowed origins (design D12). */
  origins(settings: Settings): Set<string> {
    return new Set(this.applications.flatMap((application) => application.origins?.(settings) ?? []));
  }
}

/** What reads the log of a room, where nothing is logged. */
function refuseLogless({ name, namespace, recovery, rooms }: Application): void {
  for (const [prefix, { history = false, lastOnJoin = false }] of Object.entries(rooms)) {
    const needs = history ? 'history' : lastOnJoin === false ? undefined : 'lastOnJoin';
    if (needs !== undefined && recovery === false)
      throw new ApplicationError(
        `${name} wants ${needs} of the rooms ${prefix}*, and with recovery off ${namespace} keeps no log`,
      );
    if (recovery !== false && typeof lastOnJoin === 'string' && recovery?.unlogged?.includes(lastOnJoin))
      throw new ApplicationError(
        `${name} sends the last ${lastOnJoin} to who joins the rooms ${prefix}*, and leaves it unlogged`,
      );
  }
}

function refuseOverlap(one: Application, other: Application): void {
  // A client has one session in a namespace: it is recovered, or it is not.
  if ((one.recovery === false) !== (other.recovery === false)) {
    throw new ApplicationError(`${one.name} and ${other.name} do not agree on recovery on ${one.namespace}`);
  }
  for (const event of Object.keys(one.clientEvents)) {
    if (Object.hasOwn(other.clientEvents, event)) {
      throw new ApplicationError(`${one.name} and ${other.name} both handle ${event} on ${one.namespace}`);
    }
  }
  // A longer prefix would take rooms away from the owner of the shorter one.
  for (const prefix of Object.keys(one.rooms)) {
    for (const taken of Object.keys(other.rooms)) {
      if (!prefix.startsWith(taken) && !taken.startsWith(prefix)) continue;
      const rooms = prefix.length > taken.length ? prefix : taken;
      throw new ApplicationError(
        `${one.name} and ${other.name} both own the rooms ${rooms}* on ${one.namespace}`,
      );
    }
  }
}
