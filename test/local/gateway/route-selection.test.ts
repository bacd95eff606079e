import { describe, expect, it } from 'vitest';
import { chooseRoute, compileRouteSelection } from '../../../local/gateway/route-selection.ts';

describe('a route selection expression', () => {
  it.each([
    ['$request.body.action', '{"action":"send"}', 'send'],
    [`\${request.body.action}`, '{"action":"send"}', 'send'],
    [`\${request.body.a}/\${request.body.b}`, '{"a":"x","b":"y"}', 'x/y'],
    [`\${request.body.a}/\${request.body.b}`, '{"a":"x"}', 'x/'],
    ['$request.body.a.b[1].c', '{"a":{"b":[{},{"c":"deep"}]}}', 'deep'],
    ['$request.body', '"whole"', 'whole'],
    ['$request.body[0]', '["first"]', 'first'],
    ['$request.body.action', '{"action":7}', '7'],
    ['$request.body.action', '{"action":true}', 'true'],
    ['$request.body.action', '{"action":{"a":1}}', '{"a":1}'],
    ['$request.body.action', '{}', ''],
    ['$request.body.action', '2', ''],
    ['$request.body.action', '42["send"]', undefined],
    ['$request.body.constructor', '{}', ''],
    ['$request.body.__proto__', '{}', ''],
    ['$request.header.action', '{"action":"send"}', ''],
    ['\\$default', 'anything', '$default'],
    ['static', '{"action":"send"}', 'static'],
    ['v1-$request.body.action', '{"action":"send"}', 'v1-send'],
  ])('%s selects from %s: %j', (expression, body, key) => {
    expect(compileRouteSelection(expression)(body)).toBe(key);
  });
});

describe('the route of a message', () => {
  it.each([
    ['send', ['send', '$default'], 'send'],
    ['other', ['send', '$default'], '$default'],
    ['', ['$default'], '$default'],
    [undefined, ['send', '$default'], '$default'],
    [undefined, ['send'], undefined],
    ['$connect', ['$connect', '$disconnect'], undefined],
    ['$disconnect', ['$disconnect', '$default'], '$default'],
  ])('%j among %j is %j', (selected, keys, route) => {
    expect(chooseRoute(selected, new Map(keys.map((key) => [key, null])))).toBe(route);
  });
});
