import type * as z from 'zod/mini';

/** `['args', 0, 'id']` → `args[0].id`; the empty path is the value itself. */
export function fieldName(path: readonly PropertyKey[]): string {
  return path.reduce<string>((name, part) => {
    if (typeof part === 'number') return `${name}[${part}]`;
    return name === '' ? String(part) : `${name}.${String(part)}`;
  }, '');
}

/** What is wrong with a field, in words; an unknown field is one of its own. */
export interface FieldIssue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** Every issue of a failed parse. */
export function fieldIssues({ issues }: z.core.$ZodError): readonly FieldIssue[] {
  return issues.flatMap((issue) => {
    const message = described(issue);
    const { path } = issue;
    if (issue.code !== 'unrecognized_keys') return [{ path, message }];
    return issue.keys.map((key) => ({ path: [...path, key], message }));
  });
}

/** The first issue of a failed parse, in words: which field, and what is wrong with it. */
export function firstIssue(error: z.core.$ZodError): { readonly field: string; readonly message: string } {
  const [issue] = fieldIssues(error);
  if (issue === undefined) return { field: '', message: 'is not valid' };
  const { message } = issue;
  const field = fieldName(issue.path);
  return { field, message: field === '' ? message : `${field}: ${message}` };
}

/** zod/mini carries no texts of its own: it says `Invalid input` wherever a schema does not say more. */
function described(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys') return 'is not a known field';
  if (issue.message !== 'Invalid input') return issue.message;
  return issue.code === 'invalid_type' ? `must be of type ${issue.expected}` : 'is not valid';
}
