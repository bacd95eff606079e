import type { Server } from './server.ts';

/** A handler whose metrics are written down when it ends, however that is. */
export function measured<Event extends readonly unknown[], Answer>(
  { metrics }: Pick<Server, 'metrics'>,
  handler: (...event: Event) => Promise<Answer>,
): (...event: Event) => Promise<Answer> {
  return async (...event) => {
    try {
      return await handler(...event);
    } finally {
      metrics.flush();
    }
  };
}
