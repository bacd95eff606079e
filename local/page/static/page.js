/** Puts the page together; everything on it comes from what the local stack says it runs. */
import { BackendPanel } from './backend-panel.js';
import { ClientPane } from './client-pane.js';
import { ask, element } from './elements.js';

const USERS = [
  { title: 'Left user', id: '1', username: 'ana' },
  { title: 'Right user', id: '2', username: 'bea' },
];

const select = document.querySelector('#application');
const about = document.querySelector('#about');
const problem = document.querySelector('#problem');
const main = document.querySelector('#panes');

let panes = [];

function show(deployment) {
  const application = deployment.applications.find(({ name }) => name === select.value);
  for (const pane of panes) pane.dispose();
  panes = USERS.map((user) => new ClientPane(user, application, deployment));
  const backend = new BackendPanel(application);
  main.replaceChildren(...panes.map((pane) => pane.element), backend.element);
  about.textContent = `namespace ${application.namespace} · identity: ${deployment.identity}`;
}

async function start() {
  const deployment = await ask('/local/applications');
  const { applications, unreadable } = deployment;
  if (unreadable.length > 0) {
    tell(unreadable.map(({ name, reason }) => `${name} cannot be shown: ${reason}`).join('; '));
  }
  if (applications.length === 0) return;
  select.append(...applications.map(({ name }) => element('option', { value: name }, name)));
  const wanted = decodeURIComponent(location.hash.slice(1));
  if (applications.some(({ name }) => name === wanted)) select.value = wanted;
  select.disabled = false;
  select.addEventListener('change', () => {
    history.replaceState(null, '', `#${encodeURIComponent(select.value)}`);
    show(deployment);
  });
  show(deployment);
}

function tell(message) {
  problem.textContent = message;
  problem.hidden = false;
}

start().catch((error) => tell(`The page cannot be shown: ${error.message}`));
