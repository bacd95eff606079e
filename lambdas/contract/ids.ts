/** The ids that are made here, of sockets and of connections that poll; both the server and its rows know their form. */

/** 15 random bytes are 20 characters of base64url, the form of Socket.IO's own ids. */
export const ID_BYTES = 15;
const ID_FORM = /^[A-Za-z0-9_-]{20}$/;

export function hasIdForm(text: string): boolean {
  return ID_FORM.test(text);
}

/** Whether a connection polls: its id, a hash of the sid, has that form. API Gateway's ids have 16 characters. */
export function isPollingId(connectionId: string): boolean {
  return hasIdForm(connectionId);
}
