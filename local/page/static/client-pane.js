/** One user: who it is, its connection, its events, and what it hears. */
import { ask, element, field, jsonField, shown } from './elements.js';

const ACK_TIMEOUT_MS = 10_000;
/** The log is for looking at, not for keeping. */
const MOST_ENTRIES = 200;

/**
 * @param user `{ title, id, username }`
 * @param application what `/local/applications` says of one
 * @param deployment `{ path, apiKey, identity }`
 */
export class ClientPane {
  #application;
  #deployment;
  #socket;
  #issuedToken;
  #status = element('span', { className: 'status', attributes: { role: 'status' } }, 'not connected');
  #log = element('ol', { className: 'log', attributes: { 'aria-label': 'what it hears', tabindex: '0' } });
  #events = [];
  #id;
  #username;
  #credential;
  element;

  constructor(user, application, deployment) {
    this.#application = application;
    this.#deployment = deployment;
    this.#id = field('User id', element('input', { value: user.id, autocomplete: 'off' }));
    this.#username = field('Name', element('input', { value: user.username, autocomplete: 'off' }));
    this.#credential = this.#createCredential();
    this.#events = application.clientEvents.map((event) => this.#createEvent(event));
    this.element = this.#build(user.title);
    for (const { control } of [this.#id, this.#username]) {
      control.addEventListener('change', () => this.#follow());
    }
    this.#fillIn();
    if (this.#needsToken()) void this.#newToken();
  }

  /** Ends the connection; the pane is thrown away afterwards. */
  dispose() {
    this.#socket?.disconnect();
  }

  #build(title) {
    const { credential } = this.#application;
    const connect = element('button', { type: 'submit', className: 'primary' }, 'Connect');
    const disconnect = element('button', { type: 'button' }, 'Disconnect');
    disconnect.addEventListener('click', () => this.#disconnect());
    const clear = element('button', { type: 'button' }, 'Clear');
    clear.addEventListener('click', () => this.#log.replaceChildren());
    const identity = element(
      'form',
      {},
      element(
        'div',
        { className: 'fields' },
        ...(credential === 'apiKey' ? [] : [this.#id.box, this.#username.box]),
        ...(this.#credential === undefined ? [] : [this.#credential.box]),
      ),
      element('div', { className: 'actions' }, connect, disconnect, ...this.#tokenButton()),
    );
    identity.addEventListener('submit', (submitted) => {
      submitted.preventDefault();
      this.#connect();
    });
    return element(
      'section',
      { className: 'pane client', attributes: { 'aria-label': title } },
      element('header', {}, element('h2', {}, title), this.#status),
      identity,
      element('h3', {}, 'Says'),
      ...this.#events.map(({ box }) => box),
      element('h3', {}, 'Hears'),
      this.#log,
      element('div', { className: 'actions' }, clear),
    );
  }

  #createCredential() {
    const { credential } = this.#application;
    if (credential === null) return undefined;
    const isKey = credential === 'apiKey';
    const control = element('input', {
      value: isKey ? this.#deployment.apiKey : '',
      autocomplete: 'off',
      spellcheck: false,
    });
    return field(isKey ? 'API key' : 'Token', control, { className: 'wide token' });
  }

  #tokenButton() {
    if (this.#application.credential !== 'token') return [];
    const button = element('button', { type: 'button' }, 'New token');
    button.addEventListener('click', () => void this.#newToken());
    return [button];
  }

  /** Where payloads say who speaks nobody needs a token, unless the deployment wants proof. */
  #needsToken() {
    const { credential, identityKeys } = this.#application;
    if (credential !== 'token') return false;
    return identityKeys.length === 0 || this.#deployment.identity === 'token';
  }

  async #newToken() {
    this.#credential.fail('');
    const query = new URLSearchParams({
      sub: this.#id.control.value,
      username: this.#username.control.value,
    });
    try {
      const { token } = await ask(`/local/token?${query}`);
      this.#issuedToken = token;
      this.#credential.control.value = token;
    } catch (error) {
      (error.field === 'sub' ? this.#id : this.#credential).fail(error.message);
    }
  }

  /** Another user: its payloads, and its token where it was ours. */
  #follow() {
    this.#fillIn();
    const { value } = this.#credential?.control ?? {};
    if (this.#issuedToken !== undefined && value === this.#issuedToken) void this.#newToken();
  }

  #fillIn() {
    const who = { id: idOf(this.#id.control.value), username: this.#username.control.value };
    for (const { payload } of this.#events) {
      const read = payload?.read();
      const { value } = read ?? {};
      if (typeof value !== 'object' || value === null) continue;
      const keys = this.#application.identityKeys.filter((key) => key in value);
      if (keys.length === 0) continue;
      payload.write({
        ...value,
        ...Object.fromEntries(keys.map((key) => [key, key === 'username' ? who.username : who.id])),
      });
    }
  }

  #connect() {
    this.#socket?.disconnect();
    this.#credential?.fail('');
    const { namespace, credential } = this.#application;
    const secret = this.#credential?.control.value ?? '';
    const socket = io(namespace, {
      path: this.#deployment.path,
      transports: ['websocket'],
      forceNew: true,
      ...(secret === '' ? {} : { auth: { [credential]: secret } }),
    });
    this.#socket = socket;
    this.#show('connecting', 'connecting…');
    socket.on('connect', () => this.#show('connected', `connected as ${socket.id}`));
    socket.on('disconnect', (reason) => {
      if (socket === this.#socket) this.#show('disconnected', `disconnected: ${reason}`);
    });
    socket.on('connect_error', (error) => {
      this.#show('failed', `connect_error: ${error.message}`);
      this.#note('connect_error', [error.message]);
    });
    socket.onAny((event, ...args) => this.#note(event, args));
  }

  #disconnect() {
    if (this.#socket === undefined) return this.#show('disconnected', 'not connected');
    this.#socket.disconnect();
    this.#show('disconnected', 'disconnected');
  }

  #show(state, text) {
    this.#status.dataset.state = state;
    this.#status.textContent = text;
  }

  #note(event, args) {
    const now = new Date();
    const time = element('time', { dateTime: now.toISOString() }, now.toISOString().slice(11, 23));
    const payloads = args.map((arg) => element('pre', {}, shown(arg)));
    this.#log.prepend(element('li', { dataset: { event } }, time, element('b', {}, event), ...payloads));
    while (this.#log.childElementCount > MOST_ENTRIES) this.#log.lastElementChild.remove();
  }

  #createEvent({ event, payload: example, optional }) {
    const hint = optional.length === 0 ? '' : `optional: ${optional.join(', ')}`;
    const payload = example === undefined ? undefined : jsonField(event, example, { hint });
    const answer = element('output', { className: 'answer' });
    const send = element('button', { type: 'submit' }, `Send ${event}`);
    const box = element(
      'form',
      { className: 'event', dataset: { event } },
      payload?.box ?? element('p', { className: 'nothing' }, `${event} (no payload)`),
      element('div', { className: 'actions' }, send, answer),
    );
    box.addEventListener('submit', (submitted) => {
      submitted.preventDefault();
      this.#emit(event, payload, answer);
    });
    return { box, payload };
  }

  #emit(event, payload, answer) {
    const reply = (ok, text) => {
      answer.dataset.ok = String(ok);
      answer.textContent = text;
    };
    reply(true, '');
    const read = payload === undefined ? { value: undefined } : payload.read();
    if (read === undefined) return;
    if (!this.#socket?.connected) return reply(false, 'not connected: connect first');
    const args = read.value === undefined ? [] : [read.value];
    this.#socket.timeout(ACK_TIMEOUT_MS).emit(event, ...args, (error, ack) => {
      if (error) return reply(false, `no answer within ${ACK_TIMEOUT_MS / 1_000} s`);
      reply(ack?.ok !== false, shown(ack));
      if (ack?.ok === false && ack.error?.code === 'invalid_payload') payload?.fail(ack.error.message);
    });
  }
}

/** Ids are numbers where they look like one, as in the documents of the applications. */
function idOf(text) {
  return /^(0|-?[1-9]\d*)$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : text;
}
