/** An answer other than success, as a value: what AWS says, and to which status and error type it says it. */
export interface Refusal {
  readonly status: number;
  /** Goes to `x-amzn-errortype`, from which the SDK makes the error's name. */
  readonly type: string;
  /** The body; empty for 410. */
  readonly body: string;
}

/** A refusal whose body is `{"message": …}`, which is how almost all of them look. */
export function refusal(status: number, type: string, message: string): Refusal {
  return { status, type, body: JSON.stringify({ message }) };
}

export const FORBIDDEN = refusal(403, 'ForbiddenException', 'Forbidden');
export const UPGRADE_REQUIRED = refusal(426, 'UpgradeRequiredException', 'Upgrade Required');
/** A well-formed id that is closed, not yet open or unknown: no body (captured on AWS, 2020). */
export const GONE: Refusal = { status: 410, type: 'GoneException', body: '' };
export const TOO_LARGE = refusal(413, 'PayloadTooLargeException', 'Message too long');
export const LIMIT_EXCEEDED = refusal(429, 'LimitExceededException', 'Too Many Requests');
export const TOO_MANY_REQUESTS = refusal(429, 'TooManyRequestsException', 'Too Many Requests');
export const MISSING_TOKEN = refusal(
  403,
  'MissingAuthenticationTokenException',
  'Missing Authentication Token',
);
