/** Who calls, and whether the policies of the caller's role in the template allow it. */
import type { IncomingMessage } from 'node:http';
import type { GatewayClock } from '../gateway/clock.ts';
import { targetOf } from '../gateway/handshake.ts';
import { SignatureVerifier, type Verdict } from '../gateway/signature.ts';
import { type CredentialStore, LOCAL_CREDENTIALS, type Principal, sessionArn } from '../host/credentials.ts';
import type { LogSink } from '../host/invocation.ts';
import type { Deployment } from '../template/deployment.ts';
import { type Decision, decide, type Need, type Statement } from './policy.ts';

/** A call that was allowed. */
export interface AuthorizedUse extends Need {
  /** ARN of the role, or of the person at the laptop. */
  readonly principalArn: string;
}

export interface AccessControlOptions {
  readonly deployment: Pick<Deployment, 'region' | 'accountId' | 'policies' | 'functions'>;
  readonly credentials: CredentialStore;
  readonly clock: GatewayClock;
  readonly log: LogSink;
  /** Told of every need that was allowed. */
  readonly allowed?: ((use: AuthorizedUse) => void) | undefined;
}

/** Services whose calls are signed, by their name in the scope of a signature. */
export type SignedService = 'dynamodb' | 'events' | 'execute-api' | 'lambda' | 'secretsmanager' | 'sqs';

const EVERYTHING: readonly Statement[] = [{ effect: 'Allow', actions: ['*'], resources: ['*'] }];

export class AccessControl {
  readonly #options: AccessControlOptions;
  readonly #verifiers = new Map<SignedService, SignatureVerifier>();
  readonly #administrator: string;

  /** Registers the keys of the person at the laptop, who may do everything. */
  constructor(options: AccessControlOptions) {
    this.#options = options;
    this.#administrator = `arn:aws:iam::${options.deployment.accountId}:user/developer`;
    options.credentials.register(LOCAL_CREDENTIALS, {
      arn: this.#administrator,
      functionName: undefined,
      instance: undefined,
    });
  }

  /** Verifies the signature of a request whose body has been read. */
  verify(service: SignedService, request: IncomingMessage, body: Buffer): Verdict {
    const { path, query } = targetOf(request.url ?? '/');
    const { method = 'GET', headers } = request;
    return this.#verifier(service).verify({ method, path, query, headers, body });
  }

  /**
   * Why a call is denied, in AWS's words; undefined where everything it needs is allowed. Of several needs the first that is
   * denied is named.
   *
   * @param accessKeyId of a signature that was verified
   */
  denial(accessKeyId: string, needs: readonly Need[]): string | undefined {
    const principal = this.#options.credentials.principal(accessKeyId);
    for (const need of needs) {
      const decision = this.#decide(principal?.arn ?? '', principal?.functionName, need);
      if (decision !== 'allowed') return deniedText(this.#callerOf(principal, accessKeyId), need, decision);
    }
    return undefined;
  }

  /** Whether a role (its ARN), or the person at the laptop, may do one thing. A denial is written to the log. */
  isAllowed(principalArn: string, action: string, resource: string): boolean {
    const functions = [...this.#options.deployment.functions.values()];
    const holder = functions.find(({ role }) => role === principalArn)?.name;
    return this.#decide(principalArn, holder, { action, resource }) === 'allowed';
  }

  #decide(principalArn: string, functionName: string | undefined, need: Need): Decision {
    const { deployment, allowed } = this.#options;
    const statements =
      principalArn === this.#administrator ? EVERYTHING : (deployment.policies.get(principalArn) ?? []);
    const decision = decide(statements, need);
    if (decision === 'allowed') allowed?.({ principalArn, ...need });
    else this.#logDenial(functionName ?? principalArn, need, decision);
    return decision;
  }

  #logDenial(who: string, { action, resource }: Need, decision: Decision): void {
    const reason =
      decision === 'explicitly-denied' ? 'a policy of its role denies it' : 'no policy of its role allows it';
    const line = `access denied: ${action} on ${resource} (${reason})`;
    this.#options.log({ function: who, requestId: undefined, stream: 'platform', line });
  }

  #callerOf(principal: Principal | undefined, accessKeyId: string): string {
    const { accountId } = this.#options.deployment;
    return principal === undefined ? `arn:aws:iam::${accountId}:user/${accessKeyId}` : sessionArn(principal);
  }

  #verifier(service: SignedService): SignatureVerifier {
    const known = this.#verifiers.get(service);
    if (known !== undefined) return known;
    const { deployment, clock, credentials } = this.#options;
    const lookup = (key: string) => credentials.credentials(key);
    const verifier = new SignatureVerifier(deployment.region, clock, lookup, service);
    this.#verifiers.set(service, verifier);
    return verifier;
  }
}

/** Wording of all services alike since 2021 (captured by many: `…because no identity-based policy allows the … action`). */
function deniedText(caller: string, { action, resource }: Need, decision: Decision): string {
  const reason =
    decision === 'explicitly-denied'
      ? 'with an explicit deny in an identity-based policy'
      : `because no identity-based policy allows the ${action} action`;
  return `User: ${caller} is not authorized to perform: ${action} on resource: ${resource} ${reason}`;
}
