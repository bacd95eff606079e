/** The log, and a word to the ledger of where it puts what and of what is done: by that the server tells repeats apart. */
import type { EventLog, Store } from '../../lambdas/bus/ports.ts';

export interface LogWatcher {
  placed(frame: string, position: number): void;
  done(messageId: string, at: number): void;
  gap(socketId: string): void;
}

export function watchedLog(log: EventLog, watcher: LogWatcher): EventLog {
  return {
    append: (groups, entry) => {
      // Before it is sure: a write that failed may have been done.
      const [frame] = entry.frames;
      if (frame !== undefined) watcher.placed(frame, entry.position);
      return log.append(groups, entry);
    },
    markDone: async (groups, entry, at) => {
      await log.markDone(groups, entry, at);
      watcher.done(entry.id, at);
    },
    withdraw: (groups, entry) => log.withdraw(groups, entry),
    read: (group, query) => log.read(group, query),
  };
}

export function watchedGaps<S extends Store>(store: S, watcher: LogWatcher): S {
  const noteGap = store.noteGap.bind(store);
  store.noteGap = (socket, position) => {
    watcher.gap(socket.id);
    return noteGap(socket, position);
  };
  return store;
}
