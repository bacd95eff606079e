/** Which event names code emits, found in its syntax tree: calls of `emit` and of helpers named `emit…`. */
import { relative } from 'node:path';
import ts from 'typescript';

export interface Emitted {
  /** From the root. */
  readonly file: string;
  readonly line: number;
  /** The function around the call, the outermost that has a name. */
  readonly within: string;
  /** Undefined where the type of the argument is any text. */
  readonly name: string | undefined;
}

/** @param files absolute paths; what they import is loaded for its types, and not searched */
export function emittedNames(root: string, files: readonly string[], options: ts.CompilerOptions): Emitted[] {
  const program = ts.createProgram([...files], { ...options, noEmit: true });
  const checker = program.getTypeChecker();
  return files.flatMap((path) => {
    const source = program.getSourceFile(path);
    if (source === undefined) throw new Error(`${path} cannot be read`);
    const found: Emitted[] = [];
    const visit = (node: ts.Node): void => {
      const argument = ts.isCallExpression(node) ? eventArgument(node, checker) : expelled(node, checker);
      if (argument !== undefined) {
        const { line } = source.getLineAndCharacterOfPosition(argument.getStart());
        const place = { file: relative(root, path), line: line + 1, within: functionAround(argument) };
        for (const name of texts(argument, checker)) found.push({ ...place, name });
      }
      ts.forEachChild(node, visit);
    };
    visit(source);
    return found;
  });
}

/** The argument in the place of the parameter `event`, in a call of something named `emit…`. */
function eventArgument(call: ts.CallExpression, checker: ts.TypeChecker): ts.Expression | undefined {
  const { expression } = call;
  const callee = ts.isPropertyAccessExpression(expression) ? expression.name : expression;
  if (!ts.isIdentifier(callee) || !callee.text.startsWith('emit')) return undefined;
  const parameters = checker.getResolvedSignature(call)?.parameters ?? [];
  const place = parameters.findIndex(({ name }) => name === 'event');
  return place === -1 ? undefined : call.arguments[place];
}

/** `{ kind: 'expelled', event: 'error', … }`: authentication emits by what it returns. */
function expelled(node: ts.Node, checker: ts.TypeChecker): ts.Expression | undefined {
  if (!ts.isObjectLiteralExpression(node)) return undefined;
  const value = (key: string) =>
    node.properties.filter(ts.isPropertyAssignment).find(({ name }) => name.getText() === key)?.initializer;
  const kind = value('kind');
  const isExpelled = kind !== undefined && texts(kind, checker).includes('expelled');
  return isExpelled ? value('event') : undefined;
}

/** Every text that the expression's type allows; undefined among them where it allows any. */
function texts(expression: ts.Expression, checker: ts.TypeChecker): (string | undefined)[] {
  if (ts.isStringLiteralLike(expression)) return [expression.text];
  const type = checker.getTypeAtLocation(expression);
  const bound = checker.getBaseConstraintOfType(type) ?? type;
  const members = bound.isUnion() ? bound.types : [bound];
  return members.map((member) => (member.isStringLiteral() ? member.value : undefined));
}

function functionAround(node: ts.Node): string {
  let name = '';
  for (let at: ts.Node | undefined = node; at !== undefined; at = at.parent) {
    if ((ts.isFunctionDeclaration(at) || ts.isMethodDeclaration(at)) && at.name !== undefined) {
      name = at.name.getText();
    }
  }
  return name;
}
