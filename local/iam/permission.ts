/** A resource-based policy of a function (`AWS::Lambda::Permission`): a service that may invoke it. */
export const INVOKING_SERVICES = ['apigateway.amazonaws.com', 'events.amazonaws.com'] as const;

export type InvokingService = (typeof INVOKING_SERVICES)[number];

export interface InvokePermission {
  readonly functionName: string;
  readonly service: InvokingService;
  /** Of the route or rule in whose name the service invokes, with wildcards; undefined for all it does. */
  readonly sourceArn: string | undefined;
}
