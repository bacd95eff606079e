/**
 * A small terminal client to try a deployment with: the stock socket.io-client and nothing else.
 *
 *   node dev/smoke-socket-client.js        (npm run smoke)
 *
 * Commands are typed, or piped in: then they run in order, each waits for its answer, and the end of the input ends
 * the program.
 */
import { createInterface } from 'node:readline';
import { io } from 'socket.io-client';

const USAGE = `node dev/smoke-socket-client.js     a terminal client for the marketplace; prints every event that arrives

Environment:
  WS_URL       where to connect                        (default http://localhost:3000, the local stack)
  WS_PATH      path of the front door                  (default /socket.io)
  TEST_USER    joins user:{TEST_USER} at the start
  TEST_VENDOR  joins vendor:{TEST_VENDOR} at the start
  TOKEN        a token to prove who we are, where the deployment asks for one

Commands are typed or piped in, one a line. Exit codes: 0 done, 1 no connection, or something piped in was refused,
2 not understood.
`;
const HELP = `  ping              how long a round trip takes
  join <type> <id>  joins the room of a user or a vendor, for example: join user 42
  help              shows this
  exit              ends the program
`;
const EXIT = { done: 0, failed: 1, usage: 2 };
const ANSWER_MS = 5_000;
const CONNECT_MS = 10_000;
/** With the stock client's pauses of 1 to 5 seconds between attempts this is about half a minute. */
const RECONNECTION_ATTEMPTS = 10;

class UsageError extends Error {}

/** What the server refused, or did not answer. */
class AnswerError extends Error {}

function readSettings(environment) {
  const url = environment.WS_URL || 'http://localhost:3000';
  if (!URL.canParse(url) || !/^(https?|wss?):$/.test(new URL(url).protocol))
    throw new UsageError(`WS_URL must be an http, https, ws or wss URL, not "${url}"`);
  const path = environment.WS_PATH || '/socket.io';
  if (!path.startsWith('/')) throw new UsageError(`WS_PATH must begin with a slash, not be "${path}"`);
  const first = [
    ['user', environment.TEST_USER],
    ['vendor', environment.TEST_VENDOR],
  ];
  return {
    url,
    path: path.endsWith('/') ? path : `${path}/`,
    rooms: first.flatMap(([type, id]) => (id?.trim() ? [{ type, id: id.trim() }] : [])),
    token: environment.TOKEN,
  };
}

/** Everything that is printed; a line being typed stays whole below it. */
class Terminal {
  #interactive = process.stdin.isTTY === true && process.stdout.isTTY === true;
  #lines;
  #prompting = false;

  get interactive() {
    return this.#interactive;
  }

  print(text) {
    if (this.#prompting) process.stdout.write('\r\x1b[K');
    process.stdout.write(`${text}\n`);
    if (this.#prompting) this.#lines?.prompt(true);
  }

  prompt() {
    if (!this.#interactive) return;
    this.#prompting = true;
    this.#lines?.prompt();
  }

  /** Calls back for every line, then at the end of the input; Ctrl-C ends it too. Nothing is read before. */
  read(onLine, onEnd) {
    this.#lines = createInterface({
      input: process.stdin,
      output: this.#interactive ? process.stdout : undefined,
      prompt: '> ',
    });
    this.#lines.on('line', (line) => {
      this.#prompting = false;
      onLine(line);
    });
    this.#lines.on('SIGINT', () => this.#lines.close());
    this.#lines.on('close', onEnd);
  }

  close() {
    this.#prompting = false;
    this.#lines?.close();
  }
}

class Client {
  #socket;
  #terminal;
  #settings;
  /** Rooms to be in again after a reconnection that brought a new session. */
  #joined = new Map();

  constructor(settings, terminal) {
    this.#settings = settings;
    this.#terminal = terminal;
    const { url, path, token } = settings;
    this.#socket = io(url, {
      path,
      transports: ['websocket'],
      timeout: CONNECT_MS,
      reconnectionAttempts: RECONNECTION_ATTEMPTS,
      autoConnect: false,
      ...(token ? { auth: { token } } : {}),
    });
    this.#socket.onAny((event, ...args) =>
      terminal.print(`event ${event}${withoutOffset(args).map(written).join('')}`),
    );
  }

  /** Resolves once connected. @throws AnswerError where that is not possible */
  async open() {
    const { url, path } = this.#settings;
    this.#terminal.print(`connecting to ${url} (path ${path})`);
    const socket = this.#socket;
    await new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('connect_error', (error) =>
        reject(new AnswerError(`cannot connect to ${url}: ${reason(error)}`)),
      );
      socket.connect();
    });
    this.#terminal.print(`connected as ${socket.id}`);
  }

  /** Tells of every change from now on; `onLost` is called when there will be no connection any more. */
  watch(onLost) {
    const socket = this.#socket;
    socket.on('disconnect', (why) => {
      if (why === 'io client disconnect') return;
      this.#terminal.print(`disconnected: ${why}`);
      if (socket.active) this.#terminal.print('reconnecting');
      // The stock client comes back by itself, but not where the server sent it away.
      else onLost('the server ended the session');
    });
    socket.on('connect_error', (error) => {
      this.#terminal.print(`still not connected: ${reason(error)}`);
      if (!socket.active) onLost('the server refuses the session');
    });
    socket.io.on('reconnect_attempt', (n) => this.#terminal.print(`reconnecting, attempt ${n}`));
    socket.io.on('reconnect_failed', () => onLost(`no connection after ${RECONNECTION_ATTEMPTS} attempts`));
    socket.on('connect', () => this.#reconnected().catch((error) => this.#terminal.print(error.message)));
  }

  close() {
    this.#socket.disconnect();
  }

  async ping() {
    const start = performance.now();
    const { timestamp } = await this.#ask('ping');
    const took = (performance.now() - start).toFixed(1);
    this.#terminal.print(`pong ${took} ms${timestamp === undefined ? '' : ` (server time ${timestamp})`}`);
  }

  async join(type, id) {
    await this.#ask('join', { type, id });
    this.#joined.set(`${type}:${id}`, { type, id });
    this.#terminal.print(`joined ${type}:${id}`);
  }

  async #reconnected() {
    const socket = this.#socket;
    this.#terminal.print(`connected as ${socket.id}${socket.recovered ? ' (session recovered)' : ''}`);
    if (socket.recovered) return;
    for (const { type, id } of this.#joined.values()) await this.join(type, id);
  }

  /** Emits and waits for the acknowledgement. @throws AnswerError for a refusal or none */
  async #ask(event, ...args) {
    let answer;
    try {
      answer = await this.#socket.timeout(ANSWER_MS).emitWithAck(event, ...args);
    } catch (error) {
      // The stock client's words, "operation has timed out" among them, without the event.
      const timedOut = /timed out/.test(error.message);
      throw new AnswerError(
        `${event}: no answer${timedOut ? ` within ${ANSWER_MS / 1000} s` : `: ${error.message}`}`,
      );
    }
    if (answer?.ok === true) return answer;
    const { code = 'unknown', message = JSON.stringify(answer) } = answer?.error ?? {};
    throw new AnswerError(`${event}: ${code}: ${message}`);
  }
}

/** The websocket transport only says "websocket error"; the reason is below. */
function reason(error) {
  return error.description?.error?.message || error.description?.message || error.message;
}

function written(arg) {
  const text = JSON.stringify(arg);
  return ` ${text === undefined ? String(arg) : text}`;
}

/** Runs one command. @returns whether to go on */
async function run(line, client, terminal) {
  const [command = '', ...args] = line.trim().split(/\s+/);
  switch (command) {
    case '':
      return true;
    case 'ping':
      expectArguments('ping', args, 0);
      await client.ping();
      return true;
    case 'join': {
      expectArguments('join <type> <id>', args, 2);
      const [type, id] = args;
      if (type !== 'user' && type !== 'vendor')
        throw new UsageError(`join: the type is user or vendor, not "${type}"`);
      await client.join(type, id);
      return true;
    }
    case 'help':
      terminal.print(HELP.trimEnd());
      return true;
    case 'exit':
      expectArguments('exit', args, 0);
      return false;
    default:
      throw new UsageError(`there is no command "${command}"; try help`);
  }
}

function expectArguments(usage, args, count) {
  if (args.length !== count) throw new UsageError(`usage: ${usage}`);
}

/** The session: joins, then commands one after the other until the input ends. Resolves to the exit code. */
async function session(client, settings, terminal) {
  let code = EXIT.done;
  const attempt = async (work) => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof UsageError || error instanceof AnswerError)) throw error;
      terminal.print(error.message);
      // Somebody at the terminal has read it and goes on; a script has to be told in the end.
      if (!terminal.interactive && code === EXIT.done)
        code = error instanceof UsageError ? EXIT.usage : EXIT.failed;
      return true;
    }
  };
  const lost = new Promise((resolve) => client.watch(resolve));
  let queue = Promise.resolve(true);
  const then = (work) => {
    queue = queue.then((goOn) => (goOn ? attempt(work) : false));
    return queue;
  };
  for (const { type, id } of settings.rooms) then(() => client.join(type, id).then(() => true));
  const ended = new Promise((resolve, reject) => {
    const next = (goOn) => (goOn ? terminal.prompt() : resolve());
    terminal.read(
      (line) => then(() => run(line, client, terminal)).then(next, reject),
      () => queue.then(() => resolve(), reject),
    );
    queue.then(next, reject);
  });
  const why = await Promise.race([lost, ended]);
  if (why === undefined) return code;
  terminal.print(why);
  return EXIT.failed;
}

async function main() {
  const args = process.argv.slice(2);
  if (args.length === 1 && ['--help', '-h'].includes(args[0])) {
    process.stdout.write(`${USAGE}\n${HELP}`);
    return EXIT.done;
  }
  if (args.length > 0) throw new UsageError(`arguments are not understood: ${args.join(' ')}; try --help`);
  const settings = readSettings(process.env);
  const terminal = new Terminal();
  const client = new Client(settings, terminal);
  try {
    await client.open();
    if (terminal.interactive) terminal.print(HELP.trimEnd());
    return await session(client, settings, terminal);
  } finally {
    client.close();
    terminal.close();
  }
}

main().then(
  (code) => process.exit(code),
  (error) => {
    const known = error instanceof UsageError || error instanceof AnswerError;
    process.stderr.write(`${known ? error.message : error.stack}\n`);
    process.exit(error instanceof UsageError ? EXIT.usage : EXIT.failed);
  },
);

/** Recovery adds an offset to each event: 9 characters of its time and 20 of the message's id. */
function withoutOffset(args) {
  return /^[0-9a-z]{9}[\w-]{20}$/.test(args.at(-1)) ? args.slice(0, -1) : args;
}
