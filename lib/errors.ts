/** One wrong value of the configuration. */
export interface ConfigurationIssue {
  /** Where the value came from, for example `PING_INTERVAL_MINUTES` or `context pingIntervalMinutes`. */
  readonly name: string;
  readonly message: string;
}

/** A wrong value, for its issue. Objects are not shown: constructs refer to themselves. JSON has no NaN. */
export function shown(value: unknown): string {
  if (typeof value === 'object' && value !== null)
    return Array.isArray(value) ? 'an array' : 'another object';
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}

/** The configuration has wrong values: all of them, one line each. */
export class ConfigurationError extends Error {
  readonly code = 'invalid_configuration';
  readonly retryable = false;
  readonly issues: readonly ConfigurationIssue[];

  constructor(issues: readonly ConfigurationIssue[]) {
    super(['Invalid configuration:', ...issues.map((it) => `  ${it.name}: ${it.message}`)].join('\n'));
    this.name = 'ConfigurationError';
    this.issues = issues;
  }
}

/** The functions could not be bundled: what the bundler found, one line each. */
export class BundleError extends Error {
  readonly code = 'bundle_failed';
  readonly retryable = false;
  readonly lines: readonly string[];

  constructor(lines: readonly string[], options?: ErrorOptions) {
    super(['The functions could not be bundled:', ...lines.map((line) => `  ${line}`)].join('\n'), options);
    this.name = 'BundleError';
    this.lines = lines;
  }
}
