/** What may happen next in a simulated world. */
import { NAMESPACES, ROOMS } from './app.ts';
import type { Client } from './client.ts';
import type { Ended, Functions } from './functions.ts';
import type { Gateway } from './gateway.ts';
import type { Ground } from './ground.ts';
import type { HttpGateway } from './http-gateway.ts';
import type { Ledger } from './ledger.ts';
import { isMember, type Operation, type Session } from './sessions.ts';

/** Frames that no stock client sends, or not so: answered, ignored or the end of the connection. */
const ODD_FRAMES = [
  'x',
  '',
  '2',
  '1',
  '6',
  '4',
  '49',
  '40',
  '40/b,',
  '40/nowhere,',
  '42/nowhere,["join"]',
  '42{}',
  '42["unknown",1]',
  '42999999["unknown",1]',
  '42["join",{"room":5}]',
  '42["join",{"room":"nobody\'s","nonce":1}]',
  '43[]',
  '431[1]',
  '451-["say",{"_placeholder":true,"num":0}]',
  'bAAAA',
  '{"message":"hello"}',
];

export interface Stage {
  readonly ground: Ground;
  readonly ledger: Ledger;
  readonly functions: Functions;
  readonly gateway: Gateway;
  readonly http: HttpGateway;
  readonly clients: readonly Client[];
  /** How many publishes there were: their ids. */
  publishes: number;
  /** What publishers have named. */
  readonly named: Named[];
}

interface Named {
  readonly id: number;
  readonly name: string;
  readonly namespace: string;
  readonly rooms: readonly string[];
}

type Step = (stage: Stage) => void;

const STEPS: readonly (readonly [weight: number, step: Step])[] = [
  [14, connect],
  [6, connectToOther],
  [22, join],
  [10, leave],
  [22, say],
  [14, publish],
  [4, publishTwice],
  [3, publishToOne],
  [4, publishNamed],
  [3, note],
  [1, disconnectSockets],
  [2, fetchSockets],
  [2, leaveNamespace],
  [2, quit],
  [3, close],
  [3, vanish],
  [3, odd],
  [2, askOddly],
  [1, knock],
  [1, readSlowly],
];

export function step(stage: Stage): void {
  stage.ground.chance.weighted(STEPS)(stage);
}

function connect({ ground, clients }: Stage): void {
  const away = clients.filter((client) => client.isAway);
  if (away.length > 0) ground.chance.pick(away).connect();
}

function connectToOther({ ground, clients }: Stage): void {
  const open = clients.filter((client) => client.isOpen);
  if (open.length === 0) return;
  const client = ground.chance.pick(open);
  const missing = NAMESPACES.filter((name) => !client.sessions.some(({ namespace }) => namespace === name));
  // A namespace whose reply is still on the way is not asked for again: the stock client would not.
  if (missing.length === 1 && missing[0] === '/b' && !client.isConnectingTo('/b')) client.connectTo('/b');
}

function join(stage: Stage): void {
  change(stage, 'join');
}

function leave(stage: Stage): void {
  change(stage, 'leave');
}

/** Asks to join a room or to leave it, one request at a time for each room. */
function change(stage: Stage, kind: 'join' | 'leave'): void {
  const chosen = someSession(stage);
  if (chosen === undefined) return;
  const { client, session } = chosen;
  const { chance, scheduler } = stage.ground;
  const rooms = ROOMS.filter((room) => {
    const isPending = session.line.operations.some(
      (each) => each.room === room && each.endedAt === undefined,
    );
    return !isPending && (kind === 'join' || isMember(session, room) || chance.hits(0.1));
  });
  if (rooms.length === 0) return;
  const room = chance.pick(rooms);
  const operation: Operation = { kind, room, sentAt: scheduler.now() };
  session.line.operations.push(operation);
  client.emit(session, kind, { room }, ({ ok }) => {
    operation.endedAt = scheduler.now();
    operation.ok = ok;
  });
}

function say(stage: Stage): void {
  const chosen = someSession(stage);
  if (chosen === undefined) return;
  const { chance } = stage.ground;
  const count = chance.hits(0.2) ? 2 : 1;
  const publishes = Array.from({ length: count }, (_, each) => stage.publishes + 1 + each);
  stage.publishes += count;
  const payload = { room: chance.pick(ROOMS), publishes, to: chance.pick(['all', 'others', 'self']) };
  if (chance.hits(0.7)) chosen.client.emit(chosen.session, 'say', payload);
  else chosen.client.emitSilently(chosen.session, 'say', payload);
}

/** Asks for something to be kept in the socket's data, one request at a time. */
function note(stage: Stage): void {
  const chosen = someSession(stage);
  if (chosen === undefined) return;
  const { client, session } = chosen;
  if (client.pendingIn(session).some(({ event }) => event === 'note')) return;
  const kept = { value: session.line.notes.length + 1, isKept: false };
  session.line.notes.push(kept);
  client.emit(session, 'note', { value: kept.value }, ({ ok }) => {
    kept.isKept = ok;
  });
}

function publish(stage: Stage): void {
  const { chance } = stage.ground;
  const rooms = chance.hits(0.2) ? [] : some(stage, ROOMS, 2);
  const except = rooms.length > 0 && chance.hits(0.2) ? [chance.pick(ROOMS)] : [];
  emit(stage, chance.pick(NAMESPACES), rooms, except, { volatile: chance.hits(0.1) });
}

/** To one socket, perhaps beside a room; also to one that is away. */
function publishToOne(stage: Stage): void {
  const { chance } = stage.ground;
  const lines = stage.ledger.lines.filter(({ sid }) => sid !== undefined).slice(-stage.clients.length);
  if (lines.length === 0) return;
  const { namespace, sid = '' } = chance.pick(lines);
  emit(stage, namespace, chance.hits(0.3) ? [sid, chance.pick(ROOMS)] : [sid], []);
}

/** A publisher that names its messages asks until it has an answer, or more often; or takes a name for another one. */
function publishNamed(stage: Stage): void {
  const { chance } = stage.ground;
  const old = stage.named.slice(-3);
  let named = old.length > 0 && chance.hits(0.5) ? chance.pick(old) : undefined;
  if (named === undefined || chance.hits(0.15)) {
    stage.publishes += 1;
    named = {
      id: stage.publishes,
      name: named?.name ?? `message ${stage.publishes}`,
      namespace: named?.namespace ?? chance.pick(NAMESPACES),
      rooms: some(stage, ROOMS, 2),
    };
    stage.named.push(named);
  }
  askNamed(stage, named, 3);
  if (chance.hits(0.3)) askNamed(stage, named, 1);
}

function askNamed(stage: Stage, named: Named, tries: number): void {
  const { chance, scheduler } = stage.ground;
  const { id, name, namespace, rooms } = named;
  stage.ledger.begin({ id, namespace, rooms, name });
  const request = { op: 'emit', namespace, rooms, event: 'said', args: [{ publish: id }], id: name };
  stage.ground.trace(() => `a backend publishes ${JSON.stringify(request)}`);
  stage.functions.invoke('publish', request, (how) => {
    const outcome = namedOutcome(how);
    stage.ledger.endNamed(id, outcome);
    if (tries > 1 && (outcome === 'failed' || outcome === 'under way'))
      scheduler.after(chance.between(0, 8_000), () => askNamed(stage, named, tries - 1));
  });
}

function namedOutcome(how: Ended): Parameters<Ledger['endNamed']>[1] {
  if (how.kind !== 'answered') return 'failed';
  const { ok, error } = how.value as { readonly ok: boolean; readonly error?: { readonly code: string } };
  if (ok) return 'ok';
  if (error?.code === 'invalid_payload') return 'other content';
  return error?.code === 'in_progress' ? 'under way' : 'failed';
}

/** The second is asked for when the first was answered. */
function publishTwice(stage: Stage): void {
  const namespace = stage.ground.chance.pick(NAMESPACES);
  const rooms = some(stage, ROOMS, 1);
  emit(stage, namespace, rooms, [], {}, () => emit(stage, namespace, rooms, []));
}

export function emit(
  stage: Stage,
  namespace: string,
  rooms: readonly string[],
  except: readonly string[],
  flags: { readonly volatile?: boolean } = {},
  then: () => void = () => {},
): void {
  const { ground, ledger, functions } = stage;
  stage.publishes += 1;
  const id = stage.publishes;
  ledger.begin({ id, namespace, rooms, except, ...flags });
  const request = { op: 'emit', namespace, rooms, except, event: 'said', args: [{ publish: id }], flags };
  ground.trace(() => `a backend publishes ${JSON.stringify(request)}`);
  functions.invoke('publish', request, (how) => {
    const isOut = how.kind === 'answered' && (how.value as { readonly ok: boolean }).ok;
    ledger.end(id, isOut);
    if (isOut) then();
  });
}

function disconnectSockets(stage: Stage): void {
  const { chance } = stage.ground;
  const namespace = chance.pick(NAMESPACES);
  const request = {
    op: 'disconnectSockets',
    namespace,
    rooms: some(stage, ROOMS, 1),
    close: chance.hits(0.5),
  };
  stage.ground.trace(() => `a backend asks for ${JSON.stringify(request)}`);
  for (const client of stage.clients) client.expectEnd();
  stage.functions.invoke('publish', request);
}

function fetchSockets(stage: Stage): void {
  const request = {
    op: 'fetchSockets',
    namespace: stage.ground.chance.pick(NAMESPACES),
    rooms: [],
    except: [],
  };
  stage.functions.invoke('publish', request);
}

function leaveNamespace(stage: Stage): void {
  const chosen = someSession(stage);
  chosen?.client.leaveNamespace(chosen.session.namespace);
}

function quit(stage: Stage): void {
  const chosen = someSession(stage);
  if (chosen === undefined) return;
  chosen.client.expectCut();
  chosen.client.emitSilently(chosen.session, 'quit', { close: stage.ground.chance.hits(0.5) });
}

function close(stage: Stage): void {
  someConnected(stage)?.close();
}

function vanish(stage: Stage): void {
  someConnected(stage)?.vanish();
}

function odd(stage: Stage): void {
  const client = someConnected(stage);
  if (client?.isOpen !== true) return;
  client.expectCut();
  client.send(stage.ground.chance.pick(ODD_FRAMES));
}

function askOddly(stage: Stage): void {
  const client = someConnected(stage);
  client?.expectCut();
  client?.askOddly();
}

/** Whoever does not know a sid gets in by no door. */
function knock({ ground, http, gateway }: Stage): void {
  const sid = Buffer.from(ground.chance.bytes(15)).toString('base64url');
  const isIn = (): void => ground.violation(`an unknown sid was let in`);
  const method = ground.chance.pick(['GET', 'POST'] as const);
  const query = { EIO: '4', transport: 'polling', sid };
  http.request({ method, query, ...(method === 'POST' ? { body: '40' } : {}) }, (status) => {
    if (status === 200) isIn();
  });
  gateway.connect({ opened: isIn, refused: () => {}, receive: () => {}, closed: () => {} }, sid);
}

function readSlowly(stage: Stage): void {
  const { chance, faults, scheduler } = stage.ground;
  const connection = someConnected(stage)?.socket;
  if (connection !== undefined && faults.slowConsumer > 0)
    connection.slowUntil = scheduler.now() + chance.between(500, 20_000);
}

function someConnected({ ground, clients }: Stage): Client | undefined {
  const connected = clients.filter((client) => !client.isAway);
  return connected.length === 0 ? undefined : ground.chance.pick(connected);
}

function someSession({
  ground,
  clients,
}: Stage): { readonly client: Client; readonly session: Session } | undefined {
  const all = clients.flatMap((client) => client.sessions.map((session) => ({ client, session })));
  return all.length === 0 ? undefined : ground.chance.pick(all);
}

function some(stage: Stage, from: readonly string[], most: number): string[] {
  const count = 1 + stage.ground.chance.below(most);
  return [...new Set(Array.from({ length: count }, () => stage.ground.chance.pick(from)))];
}
