/** What a start prints when it is ready: the address, the settings, and things to try by copy and paste. */
import { SignJWT } from 'jose';
import type { Settings } from './settings.ts';
import type { LocalStack } from './stack.ts';

/** A token that the local stack believes, for user 1, good for a working day. */
export function developmentToken(secret: string): Promise<string> {
  return new SignJWT({ username: 'ana' })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('1')
    .setIssuedAt()
    .setExpirationTime('8h')
    .sign(new TextEncoder().encode(secret));
}

/** The text under which a start is ready; its first line is fixed, so that scripts can wait for it. */
export function welcome(stack: LocalStack, settings: Settings, token: string): string {
  const { origin, deployment } = stack;
  const stage = deployment.webSocketApi?.stage ?? 'prod';
  const width = Math.max(...settings.shown.map(({ name }) => name.length));
  const shown = settings.shown.map(({ name, value, note }) => `  ${name.padEnd(width)}  ${value}  (${note})`);
  return `socketbus ready on ${origin}

${shown.join('\n')}${settings.trusting ? WARNING : ''}
  also at ${origin.replace(/^http/, 'ws')}/${stage} (the API's own URL)

Try every application as two users side by side, in a browser: ${origin}/

A token for user 1, ana, good for 8 hours:

${token}

A client (watch-groups); run it in two terminals:

${clientScript(origin, settings.wsPath, token)}

Talk to it by hand:

${smokeCommand(stack, settings)}

Publish to everybody in the group, by the command line, by HTTP signed with the local keys, or by Lambda's invoke API:

${publishCommand(stack)}

${signedCommand(stack)}

${invokeCommand(stack)}

Ctrl-C stops it.
`;
}

const WARNING = `

  WARNING: identity is trusted, so claims are believed: any client may say that it is anybody. IDENTITY=token asks for
  a proof.
`;

function clientScript(origin: string, wsPath: string, token: string): string {
  const path = wsPath === '/socket.io' ? '' : `path: '${wsPath}/', `;
  return `node --input-type=module - <<'END'
import { io } from 'socket.io-client';
const token = '${token}';
const socket = io('${origin}', { ${path}auth: { token } });
socket.onAny((event, ...args) => console.log(event, ...args));
socket.on('connect_error', (error) => console.log('connect_error', error.message));
socket.on('connected', () => {
  socket.emit('join-group', { groupId: 123 });
  setInterval(() => socket.emit('watch-episode', { groupId: 123, seriesId: 1, episodeId: 1 }), 5000);
});
END`;
}

const ROOM = 'group:123';
const EVENT = 'notification';
const DATA = { message: 'hola' };
const REQUEST = JSON.stringify({ op: 'emit', rooms: [ROOM], event: EVENT, args: [DATA] });

/** What the tools of this package take the local stack's address to be. */
const USUAL_ORIGIN = 'http://localhost:3000';

function smokeCommand({ origin }: LocalStack, { wsPath }: Settings): string {
  const url = origin === USUAL_ORIGIN ? '' : `WS_URL=${origin} `;
  const path = wsPath === '/socket.io' ? '' : `WS_PATH=${wsPath} `;
  return `${url}${path}npm run smoke`;
}

function publishCommand({ origin }: LocalStack): string {
  const endpoint = origin === USUAL_ORIGIN ? '' : `SOCKETBUS_ENDPOINT=${origin} `;
  const options = `--room ${ROOM} --event ${EVENT} --data '${JSON.stringify(DATA)}'`;
  return `${endpoint}npm run emit -- ${options}`;
}

function signedCommand(stack: LocalStack): string {
  return `${signedCurl(stack, 'execute-api')} -d '${REQUEST}' ${stack.origin}/publish`;
}

function invokeCommand(stack: LocalStack): string {
  return `${signedCurl(stack, 'lambda')} -d '${REQUEST}' ${stack.origin}/2015-03-31/functions/publish/invocations`;
}

function signedCurl({ deployment, credentials }: LocalStack, service: string): string {
  const { accessKeyId, secretAccessKey } = credentials;
  const signature = `--aws-sigv4 "aws:amz:${deployment.region}:${service}" --user ${accessKeyId}:${secretAccessKey}`;
  return `curl -s ${signature} -H 'content-type: application/json'`;
}
