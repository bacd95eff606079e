/** Small helpers to build the page with. Nothing here takes HTML: what arrives over a socket is only ever text. */

/** Makes an element with properties and children. */
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  const { dataset = {}, attributes = {}, ...rest } = properties;
  Object.assign(made, rest);
  Object.assign(made.dataset, dataset);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

let fields = 0;

/** A labelled control with a place for what is wrong with it. `fail('')` clears that. */
export function field(label, control, { className = '', hint = '' } = {}) {
  fields += 1;
  const id = `field-${fields}`;
  const problem = element('p', { className: 'problem', id: `${id}-problem`, hidden: true });
  problem.setAttribute('role', 'alert');
  control.id = id;
  control.setAttribute('aria-describedby', problem.id);
  const box = element(
    'div',
    { className: `field ${className}` },
    element('label', { htmlFor: id }, label),
    control,
    ...(hint === '' ? [] : [element('p', { className: 'hint' }, hint)]),
    problem,
  );
  const fail = (message) => {
    problem.textContent = message;
    problem.hidden = message === '';
    control.setAttribute('aria-invalid', String(message !== ''));
  };
  control.addEventListener('input', () => fail(''));
  return { box, control, fail };
}

/** A field of JSON; `read()` gives `{ value }`, or nothing after it has said what is wrong. Empty text is no value. */
export function jsonField(label, value, options = {}) {
  const text = value === undefined ? '' : JSON.stringify(value);
  const made = field(label, element('textarea', { rows: rowsFor(text), value: text, spellcheck: false }), {
    className: 'wide',
    ...options,
  });
  const read = () => {
    const { value: written } = made.control;
    made.fail('');
    if (written.trim() === '') return { value: undefined };
    try {
      return { value: JSON.parse(written) };
    } catch (error) {
      made.fail(`not JSON: ${error.message}`);
      return undefined;
    }
  };
  const write = (next) => {
    made.control.value = next === undefined ? '' : JSON.stringify(next);
    made.control.rows = rowsFor(made.control.value);
    made.fail('');
  };
  return { ...made, read, write };
}

function rowsFor(text) {
  return Math.min(5, Math.max(1, Math.ceil(text.length / 46)));
}

/** Longest JSON that is read at a glance; in characters. */
const ONE_LINE = 100;

/** JSON for reading, on one line where it is short; bytes are told apart from text. */
export function shown(value) {
  const readable = (_key, part) =>
    part instanceof ArrayBuffer ? `<${part.byteLength} bytes: ${hex(part)}>` : part;
  const line = JSON.stringify(value, readable) ?? '';
  return line.length <= ONE_LINE ? line : JSON.stringify(value, readable, 2);
}

function hex(buffer) {
  const bytes = [...new Uint8Array(buffer, 0, Math.min(32, buffer.byteLength))];
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

/** Asks the local stack. @throws Error with its own words, and `field` where it names one */
export async function ask(path, body) {
  const request =
    body === undefined
      ? {}
      : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const response = await fetch(path, request);
  const answer = await response.json();
  if (response.ok) return answer;
  const { message = `the local stack answered ${response.status}`, field: named } = answer.error ?? answer;
  throw Object.assign(new Error(message), { field: named });
}
