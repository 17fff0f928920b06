// What a request at the model door asks for, by its path: the Messages API, or the forms in which Bedrock and Vertex offer
// it, which Claude Code speaks by itself. Pure. Anything else is no target, and what a path hides (dots, slashes) is none.
import type { ModelForm } from '../protocol/model-endpoint.ts'

export interface ModelTarget {
  form: ModelForm['kind']
  asks: 'message' | 'count'
  /** Behind the endpoint's base URL, with its query. */
  path: string
  /** Named by the path; of the Messages API and of a count at Vertex the body names it. */
  model?: string
  /** Vertex only: whose quota is asked for. */
  place?: { project: string; region: string }
}

const MESSAGES: Record<string, ModelTarget['asks']> = {
  '/v1/messages': 'message',
  '/v1/messages/count_tokens': 'count',
}
const BEDROCK = /^\/bedrock\/model\/([^/]+)\/(invoke|invoke-with-response-stream|count-tokens)$/
const VERTEX =
  /^\/vertex\/projects\/([a-z0-9:.-]+)\/locations\/([a-z0-9-]+)\/publishers\/anthropic\/models\/([A-Za-z0-9@._-]+):(rawPredict|streamRawPredict)$/
/** Names, versions and ARNs of models and of inference profiles. */
const MODEL_ID = /^[A-Za-z0-9](?:[A-Za-z0-9:._-]|\/(?!\/|\.))*$/
const COUNT_AT_VERTEX = 'count-tokens'

/** `path` and `query` are those of the request behind `/model`. */
export function readTarget(path: string, query: URLSearchParams): ModelTarget | undefined {
  const asks = Object.hasOwn(MESSAGES, path) ? MESSAGES[path] : undefined
  if (asks) {
    const beta = query.get('beta') === 'true' ? '?beta=true' : ''
    return { form: 'messages', asks, path: path + beta }
  }
  return readBedrock(path) ?? readVertex(path)
}

function readBedrock(path: string): ModelTarget | undefined {
  const [, encoded = '', verb = ''] = BEDROCK.exec(path) ?? []
  const model = decode(encoded)
  if (model === undefined || !MODEL_ID.test(model)) return undefined
  return {
    form: 'bedrock',
    asks: verb === 'count-tokens' ? 'count' : 'message',
    model,
    path: `/model/${encodeURIComponent(model)}/${verb}`,
  }
}

function readVertex(path: string): ModelTarget | undefined {
  const match = VERTEX.exec(path)
  if (!match) return undefined
  const [, project = '', region = '', name = '', verb = ''] = match
  const isCount = name === COUNT_AT_VERTEX
  if (isCount && verb !== 'rawPredict') return undefined
  return {
    form: 'vertex',
    asks: isCount ? 'count' : 'message',
    path: path.slice('/vertex'.length),
    place: { project, region },
    ...(isCount ? {} : { model: name }),
  }
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    // A broken escape names nothing.
    return undefined
  }
}
