// Passes an answer of the model endpoint to the agent, byte by byte as it arrives, and says what it counted and what went
// wrong on the way. Never throws for what the network does; never shows a key that an upstream repeats in an error.
import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { describeStatus, describeStreamError, sendUnreachable } from './anthropic-error.ts'
import { decodeBody, parseJson, readBody } from './body.ts'
import { passResponseHeaders } from './upstream-request.ts'
import { createUsageMeter, type MeteredUsage, readError, type UsageMeter } from './usage-meter.ts'

export interface Relayed {
  /** Of the upstream, or 502 when its answer could not be used. */
  status: number
  /** Undefined for an error answer: nothing was used. */
  usage?: MeteredUsage
  problem?: Problem
}

export interface Problem {
  status: number
  reason: string
  message: string
}

const MAX_ERROR_BYTES = 1 << 20

export interface RelayOptions {
  /** Not to be shown to the agent. */
  secrets: string[]
  /** Called before the agent gets the part of the answer that says how much was used. */
  onUsed: (usage: MeteredUsage) => void
}

export async function relayAnswer(
  answer: IncomingMessage,
  res: ServerResponse,
  { secrets, onUsed }: RelayOptions,
): Promise<Relayed> {
  const status = answer.statusCode ?? 500
  if (status >= 300) return relayError(answer, res, secrets)
  const encoding = answer.headers['content-encoding'] ?? 'identity'
  if (encoding !== 'identity') {
    // It could not be metered, and it was asked not to.
    answer.destroy()
    return sendBroken(res, 'it answered in an encoding that was not asked for')
  }
  const meter = createUsageMeter(answer.headers['content-type'])
  res.writeHead(status, passResponseHeaders(answer.headers))
  res.flushHeaders()
  const end = await pipe(answer, res, { meter, onUsed })
  const usage = meter.end()
  // The agent sees a cut as the cut that it was.
  if (end === 'cut') res.destroy()
  else res.end()
  return { status, usage, problem: end === 'left' ? undefined : findBreak(usage, end, secrets) }
}

/** Answers that the upstream cannot be reached, in a way that makes the agent try again. */
export function sendBroken(res: ServerResponse, why: string): Relayed {
  const message = `The model API cannot be reached: ${why}`
  sendUnreachable(res, message)
  return { status: 502, problem: { status: 502, reason: 'model_unreachable', message } }
}

async function pipe(
  answer: IncomingMessage,
  res: ServerResponse,
  { meter, onUsed }: { meter: UsageMeter; onUsed: RelayOptions['onUsed'] },
): Promise<'whole' | 'cut' | 'left'> {
  try {
    for await (const chunk of answer) {
      if (meter.push(chunk as Buffer)) onUsed(meter.used())
      if (!res.write(chunk)) await Promise.race([once(res, 'drain'), once(res, 'close')])
      if (res.destroyed) return 'left'
    }
    return answer.complete ? 'whole' : 'cut'
  } catch {
    // Ended by the upstream, by its silence, or with the agent's own connection: told apart here, reported by the caller.
    return res.destroyed ? 'left' : 'cut'
  }
}

/**
 * Errors pass with their status, retry-after and body unchanged, but for the key itself, should the upstream repeat it, and for an
 * encoding: what stands before an endpoint may compress what it says by itself, though nobody asked for it.
 */
async function relayError(
  answer: IncomingMessage,
  res: ServerResponse,
  secrets: string[],
): Promise<Relayed> {
  const status = answer.statusCode ?? 500
  const sent = (await readBody(answer, MAX_ERROR_BYTES).catch(() => undefined)) ?? Buffer.alloc(0)
  const bytes = decodeBody(sent, answer.headers['content-encoding'])
  const text = bytes.toString('utf8')
  const safe = redact(text, secrets)
  const body = safe === text ? bytes : Buffer.from(safe)
  const headers = { ...passResponseHeaders(answer.headers), 'content-length': String(body.length) }
  if (!res.destroyed) res.writeHead(status, headers).end(body)
  const { message } = readError(parseJson(body))
  return { status, problem: { status, ...describeStatus(status, message) } }
}

function findBreak(
  { streamError, complete }: MeteredUsage,
  end: 'whole' | 'cut',
  secrets: string[],
): Problem | undefined {
  if (streamError) {
    const { type, message } = streamError
    return { status: 200, ...describeStreamError(type, redact(message, secrets)) }
  }
  if (end === 'whole' && complete) return undefined
  const message = 'The model API cut its answer off in the middle.'
  return { status: 200, reason: 'model_stream_cut', message }
}

function redact(text: string, secrets: string[]): string {
  return secrets.reduce((safe, secret) => safe.replaceAll(secret, '[redacted]'), text)
}
