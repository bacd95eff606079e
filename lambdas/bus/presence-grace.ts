/** How long somebody whose last socket has left still counts as there: a page that is loaded again takes less. */
export const LEAVE_GRACE_MS = 3_000;
