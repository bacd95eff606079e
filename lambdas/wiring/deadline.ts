/** What Lambda's context says of the time that is left. */
export interface Deadline {
  getRemainingTimeInMillis(): number;
}

/** Time that is kept to answer in. */
const MARGIN_MS = 1_500;

/**
 * Waits for work, but not into the function's own timeout: API Gateway would send the client an error frame that
 * ends its connection (design D3). Work that is cut off goes on if the instance gets another event, and is lost if
 * not.
 * @returns whether the work was done in time
 */
export async function beforeDeadline(work: Promise<void>, deadline: Deadline): Promise<boolean> {
  const ms = Math.max(0, deadline.getRemainingTimeInMillis() - MARGIN_MS);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, ms, false);
  });
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
