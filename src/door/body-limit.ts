// Caps what a request may send as its body, however the route reads it (pipe, iteration, events).
import type { IncomingMessage } from 'node:http'
import { AppError } from '../protocol/errors.ts'

/** Calls `onExceeded` at most once; the request is to be answered or destroyed there. No byte over the cap is delivered. */
export function limitBody(
  request: IncomingMessage,
  maxBytes: number,
  onExceeded: (error: AppError) => void,
): void {
  const tooLarge = () =>
    new AppError('too_large', 'body_too_large', `the body is larger than ${maxBytes} bytes`)
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) {
    onExceeded(tooLarge())
    return
  }
  let seen = 0
  let exceeded = false
  // Every byte of a body passes `push`; a 'data' listener would change the mode that the route reads in.
  const push = request.push.bind(request)
  request.push = (chunk: Buffer | null, encoding?: BufferEncoding) => {
    if (exceeded) return false
    seen += chunk?.length ?? 0
    if (seen <= maxBytes) return push(chunk, encoding)
    exceeded = true
    onExceeded(tooLarge())
    return false
  }
}
