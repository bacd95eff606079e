import { describe, expect, test } from 'vitest';
import { FaultRulesError, parseFaultFile, parseFaultRules } from '../../../local/faults/rules.ts';

describe('a file of faults', () => {
  test.each([
    ['{', /faults\.json: .*JSON/],
    ['[]', /faults\.json: the whole: /],
    ['{"call":{}}', 'faults.json: call: there is no such member'],
    ['{"calls":{"connections.PUT":{}}}', 'faults.json: calls/connections.PUT: there is no such member'],
    [
      '{"calls":{"lambda.Invoke":{"gone":0.1}}}',
      'faults.json: calls/lambda.Invoke/gone: there is no such member',
    ],
    ['{"calls":{"connections.POST":{"lost":1.5}}}', /calls\/connections\.POST\/lost: /],
    [
      '{"calls":{"connections.POST":{"lost":0.5,"timeout":{"probability":0.6}}}}',
      'faults.json: calls/connections.POST: the probabilities add up to more than 1',
    ],
    ['{"calls":{"dynamodb.*":{"latency":{"p50":9,"p99":5}}}}', /calls\/dynamodb\.\*\/latency: /],
    ['{"disconnect":{"late":{"probability":1,"ms":[5,2]}}}', /disconnect\/late\/ms: the first number/],
    ['{"kills":[{"function":"message","probability":1,"calls":[0,2]}]}', /kills\/0\/calls\/0: /],
    ['{"quotas":{"requests":{"perSecond":0}}}', /quotas\/requests\/perSecond: /],
  ])('that is wrong is refused with the member: %s', (text, message) => {
    const read = () => parseFaultFile(text, 'faults.json');
    expect(read).toThrow(FaultRulesError);
    expect(read).toThrow(message);
  });

  test('may leave everything out', () => {
    expect(parseFaultRules({})).toMatchObject({ calls: {}, postableDelayMs: 0, kills: [] });
  });

  test('may give probabilities that add up to one', () => {
    const calls = { 'connections.POST': { gone: 0.1, error: 0.2, lost: 0.7 } };
    expect(parseFaultRules({ calls }).calls['connections.POST']).toMatchObject(calls['connections.POST']);
  });
});
