// Everything that goes wrong in a request becomes one JSON shape. What is not an AppError is logged and not shown.
import { HTTPException } from 'hono/http-exception'
import type { ZodError, z } from 'zod'
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
  | { success: true; target: string; data: unknown }
  | { success: false; target: string; error: Pick<ZodError, 'issues'> }

const PARTS: Record<string, string> = { json: 'body', query: 'query', param: 'path' }

/** Given to zod-openapi: names the fields that do not fit. No text of any route holds a NUL: no table and no program takes one. */
export function refuseInvalid(result: Validated): undefined {
  const wrong = result.success ? withNul(result.data) : result.error.issues
  if (wrong.length === 0) return undefined
  const part = PARTS[result.target] ?? result.target
  const named = wrong.slice(0, MOST_ISSUES).map(({ path, message }) => {
    const field = path.map(String).join('.')
    return field === '' ? message : `${field}: ${message}`
  })
  throw new AppError('invalid', `invalid_${part}`, `the ${part} does not fit: ${named.join('; ')}`)
}

function withNul(
  value: unknown,
  path: string[] = [],
): Pick<z.core.$ZodIssue, 'path' | 'message'>[] {
  if (typeof value === 'string')
    return value.includes('\0') ? [{ path, message: 'holds a NUL character' }] : []
  if (typeof value !== 'object' || value === null) return []
  return Object.entries(value).flatMap(([key, inner]) => withNul(inner, [...path, key]))
}
