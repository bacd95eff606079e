/** Who may call DynamoDB: everything that comes over the wire is verified and authorised before it is looked at. */
import type { Admission } from '../dynamodb/server.ts';
import type { AccessControl } from './access-control.ts';
import { dynamoDbNeeds, type Home } from './dynamodb-needs.ts';
import { denialRefusal, signatureRefusal } from './json-refusal.ts';

export function dynamoDbAdmission(access: AccessControl, home: Home): Admission {
  return ({ request, body, operation, parsed }) => {
    const verdict = access.verify('dynamodb', request, body);
    if (verdict.kind === 'refused') return signatureRefusal('dynamodb', verdict);
    if (parsed === undefined) return undefined;
    const denial = access.denial(verdict.accessKeyId, dynamoDbNeeds(operation, parsed, home));
    return denial === undefined ? undefined : denialRefusal('dynamodb', denial);
  };
}
