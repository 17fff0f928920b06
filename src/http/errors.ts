// Everything that goes wrong in a request becomes one JSON shape. What is not an AppError is logged and not shown.
import { HTTPException } from 'hono/http-exception'
import type { ZodError } from 'zod'
import type { Logger } from '../lib/logger.ts'
import { AppError } from '../protocol/errors.ts'
import type { ApiContext } from './route.ts'

/** Fields that are named in one answer. */
const MOST_ISSUES = 5

export function respondToError(error: unknown, c: ApiContext, logger: Logger): Response {
  const refusal = toRefusal(error)
  if (refusal.code === 'internal') {
    logger.error({ err: error, method: c.req.method, path: c.req.path }, 'request failed')
  }
  return c.json(refusal.toBody(), refusal.status as 400)
}

function toRefusal(error: unknown): AppError {
  if (error instanceof AppError) return error
  if (error instanceof HTTPException && error.status < 500) {
    const reason = error.status === 415 ? 'json_required' : 'invalid_body'
    return new AppError('invalid', reason, error.message || 'the request is not readable')
  }
  const message = 'something went wrong here; the log of the server says what'
  return new AppError('internal', 'unexpected', message, { cause: error })
}

type Validated =
  | { success: true; target: string }
  | { success: false; target: string; error: Pick<ZodError, 'issues'> }

const PARTS: Record<string, string> = { json: 'body', query: 'query', param: 'path' }

/** Given to zod-openapi: names the fields that do not fit. */
export function refuseInvalid(result: Validated): undefined {
  if (result.success) return undefined
  const part = PARTS[result.target] ?? result.target
  const named = result.error.issues.slice(0, MOST_ISSUES).map(({ path, message }) => {
    const field = path.map(String).join('.')
    return field === '' ? message : `${field}: ${message}`
  })
  throw new AppError('invalid', `invalid_${part}`, `the ${part} does not fit: ${named.join('; ')}`)
}
