/** `npm run docs`: writes `docs/asyncapi.yaml` from the definitions of the built-in applications. */
import { writeFile } from 'node:fs/promises';
import { stringify } from 'yaml';
import { asyncApiDocument } from '../lambdas/apps/asyncapi.ts';
import { eventTexts } from '../lambdas/apps/event-texts.ts';
import { builtIns } from '../lambdas/apps/registry.ts';
import packageJson from '../package.json' with { type: 'json' };

export const ASYNCAPI_FILE = new URL('../docs/asyncapi.yaml', import.meta.url);

const DESCRIPTION = `What the built-in applications of socketbus say and hear over Socket.IO. A message's payload is the one
argument after the event's name; a message without payload has none. Every client event takes an optional
acknowledgement callback.`;

/** The document as it is written. */
export function asyncApiYaml(): string {
  const { name: title, version } = packageJson;
  const document = asyncApiDocument(Object.values(builtIns), {
    title,
    version,
    description: DESCRIPTION,
    texts: eventTexts,
  });
  // Equal payloads stay written out: an alias would hide them from readers and from other tools.
  const body = stringify(document, { aliasDuplicateObjects: false, lineWidth: 110 });
  return `# Written by \`npm run docs\` from the definitions in lambdas/apps. Change those.\n${body}`;
}

if (process.argv[1] !== undefined && import.meta.filename === process.argv[1]) {
  await writeFile(ASYNCAPI_FILE, asyncApiYaml());
}
