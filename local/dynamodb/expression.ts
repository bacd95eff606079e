/** Conditions and filters as dynalite's parser reads them. */
import type { AttributeValue } from './attribute-value.ts';

export type Path = readonly (string | number)[];
export type SizeOf = { readonly type: 'function'; readonly name: 'size'; readonly args: readonly [Operand] };
export type Operand = Path | AttributeValue | SizeOf;

export type Expression =
  | { readonly type: 'and' | 'or'; readonly args: readonly [Expression, Expression] }
  | { readonly type: 'not'; readonly args: readonly [Expression] }
  | { readonly type: 'function'; readonly name: string; readonly args: readonly Operand[] }
  | { readonly type: Comparison; readonly args: readonly Operand[] };

type Comparison = '=' | '<>' | '<' | '<=' | '>' | '>=' | 'between' | 'in';
