/** The paths of a deployment, and which of them Engine.IO cannot have. */
import { BUILT_IN_ROUTES } from '../lambdas/contract/applications.ts';

/** Where a backend publishes. */
export const PUBLISH_PATH = '/publish';

/** Where the history of a room is read; the name of a variable is decoded, which a path need not be. */
export const HISTORY_PATH = '/rooms/{room}/history';

interface Paths {
  readonly wsPath: string;
  readonly stage: string;
  readonly frontDoor: boolean;
  readonly apps: readonly string[];
}

/**
 * Who else has the path of Engine.IO, or paths below it: `poll` is given all of those, so a route of an application would never be
 * reached (of one with a method of its own, its preflight). Routes of applications that are modules are not known here.
 *
 * @returns what is wrong with `wsPath`; undefined where nothing is
 */
export function pathCollision({ wsPath, stage, frontDoor, apps }: Paths): string | undefined {
  if (frontDoor && wsPath === `/${stage}`) {
    return `must not be "${wsPath}", the path of the stage: the front door sends all of it to the WebSocket API, long polling too`;
  }
  const routes = [PUBLISH_PATH, HISTORY_PATH, ...apps.flatMap((app) => builtInRoutes(app))];
  const taken = routes.find((route) => isAtOrBelow(route, wsPath));
  return taken && `must not be "${wsPath}": the HTTP route ${taken} is at or below it`;
}

function builtInRoutes(app: string): readonly string[] {
  return Object.entries(BUILT_IN_ROUTES).find(([name]) => name === app)?.[1] ?? [];
}

function isAtOrBelow(route: string, path: string): boolean {
  const segments = route.split('/');
  return path.split('/').every((part, at) => part === segments[at] || segments[at]?.startsWith('{'));
}
