// The house of the design: which room may import which. A room that is not named under `to` is forbidden.
const room = (name, from, allowed, comment) => ({
  name,
  comment,
  severity: 'error',
  from: { path: from },
  to: { path: '^(bin|lib|lambdas|emitter|client|local|test|bench)/', pathNot: allowed },
});

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
    room(
      'bin-makes-the-stack',
      '^bin/(?!asyncapi\\.ts$)',
      ['^bin/', '^lib/'],
      'bin reads the configuration and makes the stack',
    ),
    room(
      'documents-come-from-the-applications',
      '^bin/asyncapi\\.ts$',
      ['^lambdas/apps/'],
      'the generator reads the definitions',
    ),
    room(
      'lib-knows-no-runtime',
      '^lib/',
      ['^lib/', '^lambdas/contract/'],
      'constructs share only the contract (types and configuration) with the runtime',
    ),
    room(
      'contract-stands-alone',
      '^lambdas/contract/',
      ['^lambdas/contract/'],
      'the contract imports no room',
    ),
    room('protocol-is-pure', '^lambdas/protocol/', ['^lambdas/protocol/'], 'protocol knows the parsers only'),
    room(
      'bus-is-pure',
      '^lambdas/bus/',
      ['^lambdas/bus/', '^lambdas/protocol/', '^lambdas/contract/'],
      'the server is pure logic over ports',
    ),
    room(
      'adapters-fill-ports',
      '^lambdas/adapters/',
      ['^lambdas/adapters/', '^lambdas/bus/ports\\.ts$', '^lambdas/bus/errors\\.ts$', '^lambdas/contract/'],
      'adapters implement the ports and know nothing else of the bus',
    ),
    room(
      'apps-use-the-public-bus',
      '^lambdas/apps/',
      ['^lambdas/apps/', '^lambdas/bus/public\\.ts$', '^lambdas/contract/'],
      'an application sees only the public part of the bus',
    ),
    room(
      'emitter-knows-the-contract',
      '^emitter/',
      ['^emitter/', '^lambdas/contract/'],
      'what a backend imports drags in no server',
    ),
    {
      name: 'client-stands-alone',
      comment: 'what a browser imports is one small file',
      severity: 'error',
      from: { path: '^client/' },
      to: { pathNot: '^client/' },
    },
    {
      name: 'local-is-never-imported',
      comment: 'nothing outside local knows that it exists',
      severity: 'error',
      from: { path: '^(bin|lib|lambdas|emitter|client)/' },
      to: { path: '^(local|test|bench)/' },
    },
    {
      name: 'core-without-aws',
      comment: 'protocol, bus, apps and contract run without any AWS package',
      severity: 'error',
      from: { path: '^lambdas/(protocol|bus|apps|contract)/' },
      to: { path: 'node_modules/(@aws-sdk|@smithy|@aws-lambda-powertools|aws-cdk-lib)/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
