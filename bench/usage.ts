/** What is billed, counted in a model as the tables of docs/cost.md do. */
import type { Step } from '../dev/cost/page.ts';
import type { FunctionName } from '../test/simulator/functions.ts';

export function noUsage(): Step {
  return { writeUnits: 0, readUnits: 0, lambdaRequests: 0, messages: 0, httpRequests: 0, gigabyteSeconds: 0 };
}

/** Memory of each function (lib/functions.ts). */
export const GIGABYTES: Readonly<Record<FunctionName, number>> = {
  connect: 0.5,
  deliver: 1_769 / 1_024,
  disconnect: 0.5,
  message: 1,
  open: 0.5,
  poll: 0.5,
  publish: 1_769 / 1_024,
  sweep: 1,
};
