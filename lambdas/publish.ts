import type { PublishResult } from './contract/publish.ts';
import { createServer } from './wiring/server.ts';

const server = createServer();

/** The publish contract by Lambda invoke. Answers always; a refused request says which field is wrong. */
export async function handler(event: unknown): Promise<PublishResult> {
  return server.publisher.handle(event);
}
