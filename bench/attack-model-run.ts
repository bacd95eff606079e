/** An attack on a model of AWS, from the first honest client to the last hostile connection. */
import { HonestClient, HostileConnection, type Relay } from './attack-model-clients.ts';
import { EVERY_MS, type Malice, SECONDS } from './attack-rows.ts';
import { Account, type Load } from './model-account.ts';
import relayApp from './relay-app.ts';

const MINUTE_MS = 60_000;
/** Honest clients connect over this time, and relay until their functions are warm. */
const ENTER_MS = 10_000;
const WARM_UP_MS = 30_000;
/** The last events and `$disconnect`s are handled. */
const REST_MS = 20_000;
const STEP_MS = 1_000;
/** A hostile connection that is still there this long after the attack is not closed by anything. */
const PATIENCE_MS = 5 * MINUTE_MS;

export interface Outcome {
  readonly relays: readonly Relay[];
  readonly phases: readonly Phase[];
  readonly hostile: readonly HostileConnection[];
  readonly endedAt: number;
  readonly cuts: number;
}

export interface Phase {
  readonly name: string;
  readonly from: number;
  readonly to: number;
  readonly load: Load;
}

/** @param malices of those who come, and come again until the minute is over */
export async function measure(seed: number, malices: readonly Malice[], honest: number): Promise<Outcome> {
  const byId = new Map<string, HostileConnection>();
  const account = new Account(seed, {
    application: relayApp,
    began: (name, instance, event) => {
      if (name === 'message') byId.get(connectionOf(event))?.instances.add(instance);
    },
  });
  const { scheduler } = account.ground;
  const phases: Phase[] = [];
  const phase = async (name: string, run: () => Promise<void>): Promise<void> => {
    account.reset();
    const from = scheduler.now();
    await run();
    phases.push({ name, from, to: scheduler.now(), load: account.reset() });
  };
  sweepEveryMinute(account);
  const relays = new Map<number, Relay>();
  const clients = Array.from(
    { length: honest },
    (_, n) => new HonestClient(account, String(Math.floor(n / 2)), relays),
  );
  const stop = relayFrom(account, clients, relays);
  await scheduler.run(ENTER_MS + WARM_UP_MS);
  await phase('quiet', () => scheduler.run(SECONDS * 1_000));
  const attack = new Attack(account, malices, byId);
  await phase('attacked', async () => {
    attack.begin();
    await scheduler.run(SECONDS * 1_000);
    attack.end();
  });
  await phase('after', async () => {
    const end = scheduler.now() + PATIENCE_MS;
    while (attack.open > 0 && scheduler.now() < end) await scheduler.run(STEP_MS);
  });
  stop();
  await scheduler.run(REST_MS);
  const [violation] = account.ground.violations;
  if (violation !== undefined) throw new Error(violation);
  return {
    relays: [...relays.values()],
    phases,
    hostile: attack.connections.filter(({ openedAt }) => openedAt !== undefined),
    endedAt: scheduler.now(),
    cuts: clients.reduce((sum, { cuts }) => sum + cuts, 0),
  };
}

function connectionOf(event: unknown): string {
  return (event as { readonly requestContext: { readonly connectionId: string } }).requestContext
    .connectionId;
}

/** From now on, for ever. */
function sweepEveryMinute(account: Account): void {
  account.invoke('sweep', {});
  account.ground.scheduler.after(MINUTE_MS, () => sweepEveryMinute(account));
}

/** Connects the clients, and has each relay every few seconds. @returns how to stop that */
function relayFrom(
  { ground: { scheduler } }: Account,
  clients: readonly HonestClient[],
  relays: ReadonlyMap<number, Relay>,
): () => void {
  let isOver = false;
  const next = (client: HonestClient): void => {
    if (isOver) return;
    client.relay(relays.size + 1);
    scheduler.after(EVERY_MS, () => next(client));
  };
  clients.forEach((client, n) => {
    scheduler.after((n * ENTER_MS) / clients.length, () => client.connect());
    scheduler.after(ENTER_MS + (n * EVERY_MS) / clients.length, () => next(client));
  });
  return () => {
    isOver = true;
  };
}

/** Places from which hostile connections come, each after the end of the one before. */
class Attack {
  readonly connections: HostileConnection[] = [];
  /** Those that are there, or on their way. */
  open = 0;
  readonly #account: Account;
  readonly #malices: readonly Malice[];
  readonly #byId: Map<string, HostileConnection>;
  #isOver = false;

  constructor(account: Account, malices: readonly Malice[], byId: Map<string, HostileConnection>) {
    this.#account = account;
    this.#malices = malices;
    this.#byId = byId;
  }

  begin(): void {
    for (const malice of this.#malices) this.#come(malice);
  }

  end(): void {
    this.#isOver = true;
  }

  #come(malice: Malice): void {
    this.open += 1;
    const connection = new HostileConnection(this.#account, malice, () => {
      this.open -= 1;
      if (!this.#isOver) this.#come(malice);
    });
    connection.begin((id) => {
      this.connections.push(connection);
      this.#byId.set(id, connection);
    });
  }
}
