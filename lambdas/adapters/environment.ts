import { type Environment, environmentSchema } from '../contract/environment.ts';
import { fieldName } from '../contract/issues.ts';

/** The function was deployed with variables that are missing or wrong. */
export class EnvironmentError extends Error {
  readonly code = 'invalid_environment';
  readonly retryable = false;

  constructor(problems: readonly string[]) {
    super(`the function's environment is not valid: ${problems.join('; ')}`);
    this.name = 'EnvironmentError';
  }
}

/** @throws EnvironmentError naming every variable that is missing or wrong. */
export function readEnvironment(variables: NodeJS.ProcessEnv): Environment {
  const parsed = environmentSchema.safeParse(variables);
  if (parsed.success) return parsed.data;
  throw new EnvironmentError(
    parsed.error.issues.map((issue) => `${fieldName(issue.path)}: ${issue.message}`),
  );
}
