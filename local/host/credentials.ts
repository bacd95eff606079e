/** Temporary credentials, one set per function, so that a call tells which role makes it. */
import { randomBytes } from 'node:crypto';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

export interface Principal {
  /** ARN of the role; of a user for the person at the laptop. */
  readonly arn: string;
  /** Undefined for the person at the laptop. */
  readonly functionName: string | undefined;
}

export class CredentialStore {
  readonly #issued = new Map<string, { readonly credentials: Credentials; readonly principal: Principal }>();

  issue(principal: Principal): Credentials {
    const credentials = {
      // `ASIA` marks temporary keys (IAM guide, "Unique identifiers"); 20 upper-case letters and digits in all.
      accessKeyId: `ASIA${randomBytes(8).toString('hex').toUpperCase()}`,
      secretAccessKey: randomBytes(30).toString('base64'),
      sessionToken: randomBytes(96).toString('base64'),
    };
    this.#issued.set(credentials.accessKeyId, { credentials, principal });
    return credentials;
  }

  credentials(accessKeyId: string): Credentials | undefined {
    return this.#issued.get(accessKeyId)?.credentials;
  }

  principal(accessKeyId: string): Principal | undefined {
    return this.#issued.get(accessKeyId)?.principal;
  }
}
