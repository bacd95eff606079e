/** The applications that come with socketbus, by the names that the setting `apps` takes. */
export const BUILT_IN_APPLICATIONS = [
  'storefront-chat',
  'clinic-chat',
  'order-sync',
  'watch-groups',
  'marketplace',
] as const;
export type BuiltInApplication = (typeof BUILT_IN_APPLICATIONS)[number];
