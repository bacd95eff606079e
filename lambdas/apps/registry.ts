import type { Application } from '../bus/public.ts';
import { clinicChat } from './clinic-chat.ts';
import { marketplace } from './marketplace.ts';
import { orderSync } from './order-sync.ts';
import { storefrontChat } from './storefront-chat.ts';
import { watchGroups } from './watch-groups.ts';

/** The built-in applications, by the names a deployment chooses them with. */
export const builtIns: Readonly<Record<string, Application>> = {
  'storefront-chat': storefrontChat,
  'clinic-chat': clinicChat,
  'order-sync': orderSync,
  'watch-groups': watchGroups,
  marketplace,
};
