// The one error that crosses a boundary of Errand. `code` is closed and decides HTTP status and exit code;
// `reason` is an open list of stable snake_case strings that programs may match on; `message` is for people.

export const ERROR_CODES = {
  invalid: { status: 400, exitCode: 2 },
  unauthenticated: { status: 401, exitCode: 3 },
  forbidden: { status: 403, exitCode: 4 },
  not_found: { status: 404, exitCode: 5 },
  conflict: { status: 409, exitCode: 6 },
  too_large: { status: 413, exitCode: 7 },
  rate_limited: { status: 429, exitCode: 8 },
  unsupported: { status: 501, exitCode: 9 },
  unavailable: { status: 503, exitCode: 10 },
  timeout: { status: 504, exitCode: 11 },
  no_space: { status: 507, exitCode: 12 },
  internal: { status: 500, exitCode: 70 },
} as const

export type ErrorCode = keyof typeof ERROR_CODES

/** What a door answers in the body of an error, and the CLI prints with `--json`. */
export interface ErrorBody {
  error: { code: ErrorCode; reason: string; message: string }
}

export class AppError extends Error {
  readonly code: ErrorCode
  readonly reason: string

  constructor(code: ErrorCode, reason: string, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'AppError'
    this.code = code
    this.reason = reason
  }

  get status(): number {
    return ERROR_CODES[this.code].status
  }

  get exitCode(): number {
    return ERROR_CODES[this.code].exitCode
  }

  toBody(): ErrorBody {
    return { error: { code: this.code, reason: this.reason, message: this.message } }
  }
}

/** Wraps what is not yet an `AppError`, once, with its cause. */
export function toAppError(error: unknown, reason = 'unexpected'): AppError {
  if (error instanceof AppError) return error
  const message = error instanceof Error ? error.message : String(error)
  const { code } = Object(error) as { code?: unknown }
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new AppError('no_space', 'disk_full', `There is no space left on the disk: ${message}`, {
      cause: error,
    })
  return new AppError('internal', reason, message, { cause: error })
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(ERROR_CODES, value)
}
