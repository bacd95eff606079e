/** Links of a page in Markdown that lead to a file beside it. */

export function outsideOfCode(text: string): string {
  return text.replaceAll(/^ *```[\s\S]*?^ *```$/gm, '');
}

/** As they are written, with their anchors; those within the page begin with `#`. */
export function relativeLinks(text: string): string[] {
  return [...outsideOfCode(text).matchAll(/\]\((?!https?:)([^)\s]+)\)/g)].map(([, link = '']) => link);
}
