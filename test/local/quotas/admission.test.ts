import { describe, expect, test } from 'vitest';
import { AccountQuotas, RouteThrottles } from '../../../local/quotas/admission.ts';
import { DEFAULT_QUOTAS, quotasOf } from '../../../local/quotas/quotas.ts';

const still = () => 0;

function admitted(ask: () => boolean, times: number): number {
  return Array.from({ length: times }, ask).filter(Boolean).length;
}

describe('the account', () => {
  test('has the quotas of a new one: 5,000 requests at once and 500 connections', () => {
    const account = new AccountQuotas(DEFAULT_QUOTAS, still);
    expect(admitted(() => account.admitRequest(), 6_000)).toBe(5_000);
    expect(admitted(() => account.admitConnection(), 600)).toBe(500);
  });

  test('takes other quotas while it runs', () => {
    const account = new AccountQuotas(DEFAULT_QUOTAS, still);
    account.replace(quotasOf({ requests: { burst: 2 }, connections: { burst: 1 } }));
    expect(admitted(() => account.admitRequest(), 10)).toBe(2);
    expect(admitted(() => account.admitConnection(), 10)).toBe(1);
  });

  test('keeps the default of what a setting leaves out, and the later of two settings', () => {
    const quotas = quotasOf(
      { requests: { burst: 2 }, transactionMs: 3 },
      { requests: { burst: 4 } },
      undefined,
    );
    expect(quotas).toEqual({
      ...DEFAULT_QUOTAS,
      requests: { perSecond: 10_000, burst: 4 },
      transactionMs: 3,
    });
  });
});

describe('a stage', () => {
  test('throttles each route by itself, with its own settings where it has some', () => {
    const routes = new RouteThrottles(
      { all: { ratePerSecond: 10, burst: 3 }, route: new Map([['$default', { burst: 1 }]]) },
      still,
    );
    expect(admitted(() => routes.admit('$connect'), 10)).toBe(3);
    expect(admitted(() => routes.admit('$default'), 10)).toBe(1);
    expect(admitted(() => routes.admit('$disconnect'), 10)).toBe(3);
  });

  test('throttles nothing without settings', () => {
    const routes = new RouteThrottles({ all: {}, route: new Map() }, still);
    expect(admitted(() => routes.admit('$connect'), 100_000)).toBe(100_000);
  });

  test.each([{ ratePerSecond: 0 }, { burst: 0 }, { ratePerSecond: 0, burst: 0 }])(
    'lets nothing through at 0: %j',
    (all) => {
      expect(new RouteThrottles({ all, route: new Map() }, still).admit('$connect')).toBe(false);
    },
  );
});
