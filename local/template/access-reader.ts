/** Who may do what: the policies of the roles, and the permissions of services to invoke functions. */
import type * as z from 'zod/mini';
import { INVOKING_SERVICES, type InvokePermission } from '../iam/permission.ts';
import type { Statement } from '../iam/policy.ts';
import type { Deployment } from './deployment.ts';
import { TemplateError } from './errors.ts';
import { managedPolicySchema, permissionSchema, policySchema, roleSchema } from './resource-schemas.ts';

/** A template, as far as this needs it. */
export interface AccessSource {
  /** Logical ids of the resources of these types. */
  ids(...types: readonly string[]): string[];
  properties<Schema extends z.ZodMiniType>(logicalId: string, schema: Schema): z.output<Schema>;
  /** What `Ref` gives. */
  ref(logicalId: string): string;
  arn(logicalId: string): string;
}

type PolicyDocument = z.output<typeof policySchema>['PolicyDocument'];

/**
 * Statements by the ARN of their role, and permissions.
 *
 * @throws TemplateError for a policy of a role that is not in the template, a managed policy that is not (of AWS's own
 *   one is known), and everything in a statement that is not evaluated here.
 */
export function readAccess(source: AccessSource): Pick<Deployment, 'policies' | 'permissions'> {
  return { policies: new PolicyReader(source).read(), permissions: readPermissions(source) };
}

class PolicyReader {
  readonly #source: AccessSource;
  readonly #policies = new Map<string, Statement[]>();
  /** ARN of a role by its name, which is how policies refer to it. */
  readonly #roles = new Map<string, string>();

  constructor(source: AccessSource) {
    this.#source = source;
  }

  read(): Map<string, Statement[]> {
    const { ids, ref, arn } = this.#source;
    const roles = ids('AWS::IAM::Role');
    for (const logicalId of roles) {
      this.#roles.set(ref(logicalId), arn(logicalId));
      this.#policies.set(arn(logicalId), []);
    }
    const managed = this.#managed();
    for (const logicalId of roles) this.#readRole(logicalId, managed);
    for (const logicalId of ids('AWS::IAM::Policy')) {
      const { PolicyDocument, Roles } = this.#source.properties(logicalId, policySchema);
      const at = `Resources/${logicalId}/Properties`;
      for (const role of Roles) this.#attach(this.#roles.get(role), PolicyDocument, at);
    }
    return this.#policies;
  }

  /** Documents by ARN; those that name roles themselves are attached at once. */
  #managed(): Map<string, PolicyDocument> {
    const documents = this.#source.ids('AWS::IAM::ManagedPolicy').map((logicalId) => {
      const { PolicyDocument, Roles } = this.#source.properties(logicalId, managedPolicySchema);
      const at = `Resources/${logicalId}/Properties`;
      for (const role of Roles) this.#attach(this.#roles.get(role), PolicyDocument, at);
      return [this.#source.ref(logicalId), PolicyDocument] as const;
    });
    return new Map(documents);
  }

  #readRole(logicalId: string, managed: ReadonlyMap<string, PolicyDocument>): void {
    const { Policies, ManagedPolicyArns } = this.#source.properties(logicalId, roleSchema);
    const at = `Resources/${logicalId}/Properties`;
    const arn = this.#source.arn(logicalId);
    for (const { PolicyDocument } of Policies) this.#attach(arn, PolicyDocument, `${at}/Policies`);
    for (const policy of ManagedPolicyArns) {
      const document = managed.get(policy) ?? awsPolicy(policy);
      const place = `${at}/ManagedPolicyArns`;
      if (document === undefined)
        throw new TemplateError('unknown_reference', place, `what "${policy}" allows is not in the template`);
      this.#attach(arn, document, place);
    }
  }

  #attach(role: string | undefined, { Statement }: PolicyDocument, at: string): void {
    const statements = role === undefined ? undefined : this.#policies.get(role);
    if (statements === undefined)
      throw new TemplateError('unknown_reference', at, 'names a role that is not in the template');
    for (const { Effect: effect, Action: actions, Resource: resources } of Statement) {
      const variable = resources.find((resource) => resource.includes('${'));
      if (variable !== undefined)
        throw new TemplateError(
          'unsupported_property',
          at,
          `policy variables are not evaluated: ${variable}`,
        );
      statements.push({ effect, actions, resources });
    }
  }
}

/** Those that CDK attaches to roles it makes for functions (AWS Managed Policy Reference); any other is unknown here. */
const AWS_POLICIES: Readonly<Record<string, readonly string[]>> = {
  'service-role/AWSLambdaBasicExecutionRole': [
    'logs:CreateLogGroup',
    'logs:CreateLogStream',
    'logs:PutLogEvents',
  ],
};

function awsPolicy(arn: string): PolicyDocument | undefined {
  const Action = AWS_POLICIES[arn.replace(/^arn:[^:]+:iam::aws:policy\//, '')];
  return Action && { Statement: [{ Effect: 'Allow', Action: [...Action], Resource: ['*'] }] };
}

const FUNCTION_ARN = /^arn:[^:]+:lambda:[^:]*:[^:]*:function:/;

function readPermissions({ ids, properties }: AccessSource): InvokePermission[] {
  return ids('AWS::Lambda::Permission').flatMap((logicalId) => {
    const {
      FunctionName,
      Principal: principal,
      SourceArn: sourceArn,
    } = properties(logicalId, permissionSchema);
    const service = INVOKING_SERVICES.find((known) => known === principal);
    // No other service invokes anything here.
    return service === undefined
      ? []
      : [{ functionName: FunctionName.replace(FUNCTION_ARN, ''), service, sourceArn }];
  });
}
