/**
 * The event bus in both directions (design D8). Incoming and outgoing events differ in source and detail type, so an
 * outgoing event can never match the incoming rule.
 */

/** Events with this source and detail type are published; their detail is a request of the publish contract. */
export const PUBLISH_SOURCE = 'socketbus.publish';
export const PUBLISH_DETAIL_TYPE = 'Publish Request';

/** Application events marked `forward` go out with these; the detail is a `ForwardedEvent`. */
export const FORWARD_SOURCE = 'socketbus.clients';
export const FORWARD_DETAIL_TYPE = 'Client Event';
