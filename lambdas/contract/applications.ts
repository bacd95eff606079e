/** The applications that come with socketbus, by the names that the setting `apps` takes. */
export const BUILT_IN_APPLICATIONS = [
  'storefront-chat',
  'clinic-chat',
  'order-sync',
  'watch-groups',
  'marketplace',
] as const;
export type BuiltInApplication = (typeof BUILT_IN_APPLICATIONS)[number];

/** Paths of their HTTP routes, for whoever does not load their code. `test/apps/chosen.test.ts` compares them. */
export const BUILT_IN_ROUTES: Readonly<Record<BuiltInApplication, readonly string[]>> = {
  'storefront-chat': ['/socket/status'],
  'clinic-chat': ['/api/chat/mensajes'],
  'order-sync': ['/sync/pull-changes', '/sync/confirm-changes'],
  'watch-groups': [],
  marketplace: [],
};

/**
 * Those of a bundle's applications that a deployment runs. One that names built-in applications only gets them by name, so
 * that one bundle of all of them serves every choice; a bundle with others in it was made for this choice.
 *
 * @param names the setting `apps`
 */
export function chosenApplications<A extends { readonly name: string }>(
  bundled: readonly A[],
  names: readonly string[],
): readonly A[] {
  const known: readonly string[] = BUILT_IN_APPLICATIONS;
  if (!names.every((name) => known.includes(name))) return bundled;
  return names.flatMap((name) => bundled.find((app) => app.name === name) ?? []);
}
