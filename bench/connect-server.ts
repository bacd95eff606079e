/** A server to connect to: `[stock | stack, instances]`. */
import { serveStack, serveStock } from './serve.ts';

const [kind, instances = '8'] = process.argv.slice(2);
if (kind === 'stock') await serveStock();
else await serveStack('storefront-chat', Number(instances));
