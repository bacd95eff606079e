/** What a backend does: publishes into rooms, and calls what the application offers it. */
import { ask, element, field, jsonField, shown } from './elements.js';

export class BackendPanel {
  #application;
  element;

  constructor(application) {
    this.#application = application;
    this.element = element(
      'section',
      { className: 'pane backend', attributes: { 'aria-label': 'Backend' } },
      element('header', {}, element('h2', {}, 'Backend')),
      this.#publishForm(),
      ...(application.calls.length === 0 ? [] : [element('h3', {}, 'Calls'), this.#callForm()]),
    );
  }

  #publishForm() {
    const { namespace, rooms, serverEvents } = this.#application;
    const [firstEvent] = serverEvents;
    const list = element('datalist', { id: 'server-events' });
    list.append(...serverEvents.map(({ event }) => element('option', { value: event })));
    const name = element('input', { value: firstEvent?.event ?? '', required: true, autocomplete: 'off' });
    name.setAttribute('list', list.id);
    const inputs = {
      rooms: field('Rooms', element('input', { value: exampleRoom(rooms), autocomplete: 'off' }), {
        className: 'wide',
        hint: `comma-separated; empty is everybody on ${namespace}${rooms.length ? `; kinds: ${rooms.join(' ')}` : ''}`,
      }),
      event: field('Event', name, { className: 'wide' }),
      args: jsonField('Payload (JSON)', firstEvent?.payload),
    };
    let example = inputs.args.control.value;
    name.addEventListener('input', () => {
      const known = serverEvents.find(({ event }) => event === name.value);
      // What was written by hand stays.
      if (known === undefined || inputs.args.control.value !== example) return;
      inputs.args.write(known.payload);
      example = inputs.args.control.value;
    });
    const request = () => {
      const payload = inputs.args.read();
      return (
        payload && {
          op: 'emit',
          namespace,
          rooms: split(inputs.rooms.control.value),
          event: name.value,
          args: payload.value === undefined ? [] : [payload.value],
        }
      );
    };
    return this.#form('Publish', inputs, request, list);
  }

  #callForm() {
    const { name, calls } = this.#application;
    const select = element(
      'select',
      {},
      ...calls.map(({ call }) => element('option', { value: call }, call)),
    );
    const inputs = { call: field('Call', select), args: jsonField('Arguments (JSON list)', calls[0]?.args) };
    select.addEventListener('change', () =>
      inputs.args.write(calls.find(({ call }) => call === select.value)?.args),
    );
    const request = () => {
      const args = inputs.args.read();
      return args && { op: 'app', app: name, call: select.value, args: args.value ?? [] };
    };
    return this.#form('Call', inputs, request);
  }

  /** A refusal goes beside the field that it names, and beside the button where it names none of these. */
  #form(label, inputs, request, ...more) {
    const problem = element('p', { className: 'problem', hidden: true, attributes: { role: 'alert' } });
    const result = element('pre', { className: 'result', attributes: { 'aria-live': 'polite' } });
    const fail = (message, named = '') => {
      const [name] = named.split(/[.[]/);
      if (Object.hasOwn(inputs, name)) return inputs[name].fail(message);
      problem.textContent = message;
      problem.hidden = false;
    };
    const run = async () => {
      problem.hidden = true;
      for (const input of Object.values(inputs)) input.fail('');
      const body = request();
      if (body === undefined) return;
      result.textContent = '';
      try {
        const answer = await ask('/local/publish', body);
        if (answer.ok) result.textContent = shown(answer);
        else fail(`${answer.error.code}: ${answer.error.message}`, answer.error.field);
      } catch (error) {
        fail(error.message, error.field);
      }
    };
    const form = element(
      'form',
      { noValidate: true },
      element('div', { className: 'fields' }, ...Object.values(inputs).map(({ box }) => box), ...more),
      element(
        'div',
        { className: 'actions' },
        element('button', { type: 'submit', className: 'primary' }, label),
      ),
      problem,
      result,
    );
    form.addEventListener('submit', (submitted) => {
      submitted.preventDefault();
      void run();
    });
    return form;
  }
}

/** The room that the example payloads are about. */
function exampleRoom([prefix]) {
  return prefix === undefined ? '' : `${prefix}1`;
}

function split(text) {
  return text.split(',').flatMap((room) => (room.trim() === '' ? [] : [room.trim()]));
}
