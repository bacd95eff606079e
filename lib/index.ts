/** `socketbus`: what a CDK app imports. */
export type { MetricName } from '../lambdas/contract/metrics.ts';
export { BundleError, ConfigurationError, type ConfigurationIssue } from './errors.ts';
export type { FrontDoor, FrontDoorOptions } from './front-door.ts';
export type { PublishMapping, PublishRuleOptions } from './publish-rule.ts';
export { SocketBus, type SocketBusProps } from './socket-bus.ts';
export { SocketBusStack, type SocketBusStackProps } from './stack.ts';
