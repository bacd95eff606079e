import type * as z from 'zod/mini';

/** `['args', 0, 'id']` → `args[0].id`; the empty path is the value itself. */
export function fieldName(path: readonly PropertyKey[]): string {
  return path.reduce<string>((name, part) => {
    if (typeof part === 'number') return `${name}[${part}]`;
    return name === '' ? String(part) : `${name}.${String(part)}`;
  }, '');
}

/** The first issue of a failed parse, in words: which field, and what is wrong with it. */
export function firstIssue(error: z.core.$ZodError): { readonly field: string; readonly message: string } {
  const issue = error.issues[0];
  const field = fieldName(issue?.path ?? []);
  const message = issue?.message ?? 'is not valid';
  return { field, message: field === '' ? message : `${field}: ${message}` };
}
