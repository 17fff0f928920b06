// Errors in the shape of the Messages API, so that the agent shows their sentence, and the reasons that a session gets for
// what went wrong with the model.
import type { ServerResponse } from 'node:http'

/** Why the door itself refuses a request. Stable strings. */
export interface Refusal {
  status: 400 | 404 | 413 | 429
  reason: string
  message: string
}

const ERROR_TYPES: Record<number, string> = {
  400: 'invalid_request_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
}

/** Answers with a refusal; does nothing when the answer has begun already. */
export function sendRefusal(response: ServerResponse, { status, reason, message }: Refusal): void {
  sendError(response, status, {
    type: ERROR_TYPES[status] ?? 'invalid_request_error',
    message: `Errand: ${message} (${reason})`,
    headers: {
      'x-deny-reason': reason,
      ...(status === 429 ? { 'retry-after': '1' } : {}),
    },
  })
}

/** The upstream could not be reached: a status that makes Claude Code try again (seen with 2.1.330: 502 is retried). */
export function sendUnreachable(response: ServerResponse, message: string): void {
  sendError(response, 502, { type: 'api_error', message: `Errand: ${message}` })
}

function sendError(
  response: ServerResponse,
  status: number,
  error: { type: string; message: string; headers?: Record<string, string> },
): void {
  if (response.headersSent || response.destroyed) return
  const { type, message, headers } = error
  const body = JSON.stringify({ type: 'error', error: { type, message } })
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
    ...headers,
  })
  response.end(body)
}

/** The reason and a sentence for an error status of the upstream; `detail` is the upstream's own message, maybe empty. */
export function describeStatus(
  status: number,
  detail: string,
): { reason: string; message: string } {
  const { reason, message } = statusMeaning(status)
  return { reason, message: detail === '' ? `${message}.` : `${message}: ${detail}` }
}

function statusMeaning(status: number): { reason: string; message: string } {
  switch (status) {
    case 401:
      return { reason: 'model_unauthenticated', message: 'The model API refused the key (401)' }
    case 403:
      return {
        reason: 'model_forbidden',
        message: 'The model API forbids this with this key (403)',
      }
    case 404:
      return { reason: 'model_not_found', message: 'The model API does not know this model (404)' }
    case 413:
      return {
        reason: 'model_request_too_large',
        message: 'The model API finds the request too large (413)',
      }
    case 429:
      return { reason: 'model_rate_limited', message: 'The model API limits the rate (429)' }
    case 503:
    case 529:
      return { reason: 'model_overloaded', message: `The model API is overloaded (${status})` }
    default:
      return status >= 500
        ? { reason: 'model_failed', message: `The model API failed (${status})` }
        : {
            reason: 'model_request_invalid',
            message: `The model API refused the request (${status})`,
          }
  }
}

/** The reason for an `error` event in the middle of a stream. */
export function describeStreamError(
  type: string,
  detail: string,
): { reason: string; message: string } {
  const reason =
    type === 'overloaded_error'
      ? 'model_overloaded'
      : type === 'rate_limit_error'
        ? 'model_rate_limited'
        : 'model_failed'
  return { reason, message: `The model API broke off its answer with ${type}: ${detail}` }
}
