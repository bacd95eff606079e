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
export function welcome({ origin, deployment }: LocalStack, settings: Settings, token: string): string {
  const stage = deployment.webSocketApi?.stage ?? 'prod';
  const width = Math.max(...settings.shown.map(({ name }) => name.length));
  const shown = settings.shown.map(({ name, value, note }) => `  ${name.padEnd(width)}  ${value}  (${note})`);
  return `socketbus ready on ${origin}

${shown.join('\n')}
  also at ${origin.replace(/^http/, 'ws')}/${stage} (the API's own URL)

A token for user 1, ana, good for 8 hours:

${token}

A client (watch-groups); run it in two terminals:

${clientScript(origin, settings.wsPath, token)}

Publish to everybody in the group:

${publishCommand(origin)}

Ctrl-C stops it.
`;
}

function clientScript(origin: string, wsPath: string, token: string): string {
  const path = wsPath === '/socket.io' ? '' : `path: '${wsPath}/', `;
  return `node --input-type=module - <<'END'
import { io } from 'socket.io-client';
const token = '${token}';
const socket = io('${origin}', { ${path}transports: ['websocket'], auth: { token } });
socket.onAny((event, ...args) => console.log(event, ...args));
socket.on('connect_error', (error) => console.log('connect_error', error.message));
socket.on('connected', () => {
  socket.emit('join-group', { groupId: 123 });
  setInterval(() => socket.emit('watch-episode', { groupId: 123, seriesId: 1, episodeId: 1 }), 5000);
});
END`;
}

function publishCommand(origin: string): string {
  const request = { op: 'emit', rooms: ['group:123'], event: 'notification', args: [{ message: 'hola' }] };
  return `curl -s ${origin}/2015-03-31/functions/publish/invocations -d '${JSON.stringify(request)}'`;
}
