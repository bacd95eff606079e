/*
 * The viewer-request function of the front door (CloudFront Functions, JavaScript runtime 2.0): one path of Engine.IO,
 * two APIs behind it. The texts in angle brackets are put in at synthesis. At most 10 KB (CloudFront quotas page).
 */
import cf from 'cloudfront';

const ENGINE_PATH = '<engine path>';
const STAGE_PATH = '<stage path>';
const WEB_SOCKET_ORIGIN = '<web socket origin>';
const PUBLISH_PATH = '<publish path>';

// A CloudFront Function has no export: its entry is the function of this name.
// biome-ignore lint/correctness/noUnusedVariables: called by CloudFront
function handler(event) {
  const request = event.request;
  const atEngine = request.uri === ENGINE_PATH || request.uri === `${ENGINE_PATH}/`;
  if (atEngine) {
    const transport = request.querystring.transport;
    if (transport && transport.value === 'websocket') {
      // A WebSocket API has no path but its stage; a function cannot see `Upgrade`, so the query has to tell.
      request.uri = STAGE_PATH;
      cf.selectRequestOriginById(WEB_SOCKET_ORIGIN);
    } else {
      // A route key of an HTTP API cannot end with a slash, and clients send one.
      request.uri = ENGINE_PATH;
    }
    return request;
  }
  // Signed for the HTTP API's own host, which the signature would not survive: CloudFront replaces `Host`.
  if (request.method === 'POST' && request.uri === PUBLISH_PATH) {
    return {
      statusCode: 403,
      statusDescription: 'Forbidden',
      headers: { 'content-type': { value: 'application/json' } },
      body: { encoding: 'text', data: '{"message":"Forbidden"}' },
    };
  }
  return request;
}
