/** How deep JSON of somebody else may be nested. */

/**
 * Levels of arrays and objects. Parsing goes deeper, but what comes after it calls itself once a level: from about 5,000
 * levels on it runs out of stack, and a body of 128 KB has room for 64,000. Nobody's data is deeper than this; Ruby's JSON
 * stops at 100 and .NET's at 64.
 */
export const MAX_NESTING = 128;

/** Whether a text of JSON is nested deeper than that. One pass, and none where the text is too short for it. */
export function isNestedTooDeep(text: string): boolean {
  if (text.length <= 2 * MAX_NESTING) return false;
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (quoted) {
      if (code === BACKSLASH) at += 1;
      else if (code === QUOTE) quoted = false;
    } else if (code === QUOTE) quoted = true;
    else if (code === BRACKET || code === BRACE) {
      depth += 1;
      if (depth > MAX_NESTING) return true;
    } else if (code === BRACKET_END || code === BRACE_END) depth -= 1;
  }
  return false;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const BRACKET = 0x5b;
const BRACKET_END = 0x5d;
const BRACE = 0x7b;
const BRACE_END = 0x7d;
