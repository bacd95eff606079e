/** Under `exports` this version names no types, so TypeScript finds none. */
declare module 'socket.io-client-4.0' {
  export const io: unknown;
}
