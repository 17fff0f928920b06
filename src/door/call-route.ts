// Hands one request of a session to what answers it: with a limit on its body, and refusals in one form.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { AppError, toAppError } from '../protocol/errors.ts'
import { limitBody } from './body-limit.ts'

/** A request to git, model or reach. `path`, like `request.url`, is in origin form, whatever form the client used. */
export interface DoorCall {
  sessionId: string
  request: IncomingMessage
  response: ServerResponse
  path: string
}

/** A rejection before the head was sent is answered as an AppError; afterwards it breaks the response off. */
export type DoorRoute = (call: DoorCall) => Promise<void> | void

/** Most of a request to git: what a push may hold, and some. */
export const GIT_BODY_BYTES = 4 * 1024 ** 3

export async function callRoute(route: DoorRoute, maxBytes: number, call: DoorCall): Promise<void> {
  const { request, response, path } = call
  request.url = path
  let exceeded = false
  limitBody(request, maxBytes, (error) => {
    exceeded = true
    answerError(response, error)
  })
  if (exceeded) return
  try {
    await route(call)
  } catch (error) {
    const isClientGone = response.destroyed
    answerError(response, toAppError(error))
    if (!(error instanceof AppError || isClientGone)) throw error
  }
}

/** Closes the connection, since what is left of the request's body is not read. */
export function answerError(response: ServerResponse, error: AppError): void {
  if (response.headersSent) {
    response.destroy()
    return
  }
  const shown =
    error.code === 'internal' ? new AppError('internal', error.reason, 'internal error') : error
  const body = JSON.stringify(shown.toBody())
  response.writeHead(error.status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    connection: 'close',
  })
  response.end(body)
}
