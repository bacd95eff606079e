/**
 * The module that the bundler writes from the setting `apps` (lib/bundles.ts). Its values are unknown here because
 * an application named by path may be anything: whoever imports it checks what it got.
 */
declare module 'socketbus:applications' {
  /** The applications of this deployment, in the order in which `apps` names them. */
  export const applications: readonly unknown[];
}
