/** Credentials, a set for each instance, so that a call tells who makes it, and one for the person at the laptop. */
import { randomBytes } from 'node:crypto';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** Only temporary ones have one. */
  readonly sessionToken?: string;
}

export interface TemporaryCredentials extends Credentials {
  readonly sessionToken: string;
}

/** The keys of the person at the laptop: fixed, so that tools and commands can have them by default. */
export const LOCAL_CREDENTIALS: Credentials = {
  accessKeyId: 'local',
  secretAccessKey: 'local-secret-key',
};

export interface Principal {
  /** ARN of the role; of a user for the person at the laptop. */
  readonly arn: string;
  /** Undefined for the person at the laptop. */
  readonly functionName: string | undefined;
  /** Which instance of the function; undefined for the person at the laptop. */
  readonly instance: string | undefined;
}

/** The caller as services name it: of a role the session that its function runs in, which has the function's name. */
export function sessionArn({ arn, functionName }: Principal): string {
  if (functionName === undefined) return arn;
  return `${arn.replace(/^arn:([^:]+):iam:(.*):role\/.*?([^/]+)$/, 'arn:$1:sts:$2:assumed-role/$3')}/${functionName}`;
}

export class CredentialStore {
  readonly #issued = new Map<string, { readonly credentials: Credentials; readonly principal: Principal }>();

  /** Temporary keys of a role. */
  issue(principal: Principal): TemporaryCredentials {
    const credentials = {
      // `ASIA` marks temporary keys (IAM guide, "Unique identifiers"); 20 upper-case letters and digits in all.
      accessKeyId: `ASIA${randomBytes(8).toString('hex').toUpperCase()}`,
      secretAccessKey: randomBytes(30).toString('base64'),
      sessionToken: randomBytes(96).toString('base64'),
    };
    this.register(credentials, principal);
    return credentials;
  }

  /** Keys that somebody has already. */
  register(credentials: Credentials, principal: Principal): void {
    this.#issued.set(credentials.accessKeyId, { credentials, principal });
  }

  /** Forgets keys; nothing happens to keys that are not there. */
  forget(accessKeyId: string): void {
    this.#issued.delete(accessKeyId);
  }

  credentials(accessKeyId: string): Credentials | undefined {
    return this.#issued.get(accessKeyId)?.credentials;
  }

  principal(accessKeyId: string): Principal | undefined {
    return this.#issued.get(accessKeyId)?.principal;
  }
}
