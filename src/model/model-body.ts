// What a request's body asks in the words of the Messages API, whichever form it came in, so that one set of rules judges all.
// Pure. Bedrock and Vertex keep the model in the path and name their version in the body; a count at Bedrock holds the
// request that it counts in base64.
import { parseJson } from './body.ts'
import type { ModelTarget } from './model-target.ts'

export interface AskedBody {
  /** For `checkRequest`. */
  asked: unknown
  /** What is sent: exactly what was judged. */
  sent: unknown
}

const VERSION = /^(bedrock|vertex)-\d{4}-\d{2}-\d{2}$/
const BETA = /^[a-z0-9-]{1,100}$/
const MOST_BETAS = 50

type Json = Record<string, unknown>

/** Undefined for a body that does not fit its form. */
export function readAsked(target: ModelTarget, body: unknown): AskedBody | undefined {
  if (target.form === 'messages') return { asked: body, sent: body }
  if (!isObject(body)) return undefined
  if (target.form === 'bedrock' && target.asks === 'count') return readCount(target, body)
  return readInvocation(target, body)
}

function readInvocation({ model }: ModelTarget, body: Json): AskedBody | undefined {
  const { anthropic_version: version, anthropic_beta: betas, ...rest } = body
  if (typeof version !== 'string' || !VERSION.test(version) || !areBetas(betas)) return undefined
  if (model === undefined) return { asked: rest, sent: body }
  if (Object.hasOwn(rest, 'model')) return undefined
  return { asked: { ...rest, model }, sent: body }
}

function readCount(target: ModelTarget, body: Json): AskedBody | undefined {
  const input = isObject(body.input) ? body.input : {}
  const invoke = isObject(input.invokeModel) ? input.invokeModel : {}
  const isAlone = [body, input, invoke].every((level) => Object.keys(level).length === 1)
  if (!isAlone || typeof invoke.body !== 'string') return undefined
  const inner = parseJson(Buffer.from(invoke.body, 'base64'))
  const read = isObject(inner) ? readInvocation(target, inner) : undefined
  if (!read) return undefined
  const encoded = Buffer.from(JSON.stringify(read.sent)).toString('base64')
  return { asked: read.asked, sent: { input: { invokeModel: { body: encoded } } } }
}

function areBetas(value: unknown): boolean {
  if (value === undefined) return true
  if (!Array.isArray(value) || value.length > MOST_BETAS) return false
  return value.every((beta) => typeof beta === 'string' && BETA.test(beta))
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
