/**
 * Wildcards of policies: `*` is any number of characters, `?` exactly one.
 * Source: IAM guide, "IAM JSON policy elements: Action" and "Resource".
 */

const actions = new Map<string, RegExp>();
const arns = new Map<string, RegExp>();

/** Names of actions compare without regard to case. */
export function matchesAction(pattern: string, action: string): boolean {
  return compiled(actions, pattern, (text) => new RegExp(`^${sourceOf(text, () => '.*')}$`, 'is')).test(
    action,
  );
}

/**
 * ARNs compare with regard to case. A `*` at the end of a part between colons, or of the whole, also matches what follows
 * that part ("can expand to match beyond the colon boundaries"); any other stays within it.
 */
export function matchesArn(pattern: string, arn: string): boolean {
  const any = (rest: string) => (rest === '' || rest.startsWith(':') ? '.*' : '[^:]*');
  return compiled(arns, pattern, (text) => new RegExp(`^${sourceOf(text, any)}$`, 's')).test(arn);
}

/** Patterns come from templates alone, so there are as many as a template has. */
function compiled(cache: Map<string, RegExp>, pattern: string, make: (pattern: string) => RegExp): RegExp {
  const known = cache.get(pattern);
  if (known !== undefined) return known;
  const made = make(pattern);
  cache.set(pattern, made);
  return made;
}

function sourceOf(pattern: string, any: (rest: string) => string): string {
  return pattern.replace(/[\\^$.*+?()[\]{}|]/g, (character, index: number) => {
    if (character === '*') return any(pattern.slice(index + 1));
    return character === '?' ? '.' : `\\${character}`;
  });
}
