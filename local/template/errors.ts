/** The template cannot be run here: it is broken, or it uses something the local stack does not know. */
export class TemplateError extends Error {
  override readonly name = 'TemplateError';
  readonly retryable = false;
  readonly code: TemplateErrorCode;
  /** Where in the template, for example `Resources/Connect5B7625CA/Properties/Timeout`. */
  readonly at: string;

  constructor(code: TemplateErrorCode, at: string, message: string) {
    super(`${at}: ${message}`);
    this.code = code;
    this.at = at;
  }
}

export type TemplateErrorCode =
  | 'assembly_unreadable'
  | 'asset_not_found'
  | 'invalid_property'
  | 'unknown_reference'
  | 'unsupported_intrinsic'
  | 'unsupported_property'
  | 'unsupported_resource';
