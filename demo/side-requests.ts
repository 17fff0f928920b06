// Requests that Claude Code makes beside the conversation: titles, summaries, suggestions, quota probes. They get a short
// sensible answer and never move a scenario on.
import { lastUserText, type MessagesRequest } from './conversation.ts'
import type { Answer } from './scenario.ts'

/** The answer to a side request; undefined when the request is the conversation itself. */
export function answerSideRequest(request: MessagesRequest): Answer | undefined {
  const text = lastUserText(request)
  if (/^\[SUGGESTION MODE/.test(text)) return { say: 'run the tests again' }
  if (/your task is to create a detailed summary/i.test(text))
    return { say: '<summary>The task and what was done are in the transcript.</summary>' }
  const schema = schemaOf(request)
  if (schema) return { say: JSON.stringify(example(schema, 'Work on the repository')) }
  if (request.tools?.length) return undefined
  if (request.max_tokens === 1) return { say: 'OK' }
  return { say: 'Work on the repository' }
}

interface JsonSchema {
  type?: unknown
  properties?: Record<string, JsonSchema>
  enum?: unknown[]
}

function schemaOf(request: MessagesRequest): JsonSchema | undefined {
  const config = request.output_config as { format?: { schema?: JsonSchema } } | undefined
  const format = request.output_format as { schema?: JsonSchema } | undefined
  return config?.format?.schema ?? format?.schema
}

/** A value that fits the schema, with `text` for every string. */
function example(schema: JsonSchema, text: string): unknown {
  if (schema.enum) return schema.enum[0]
  switch (schema.type) {
    case 'object':
      return Object.fromEntries(
        Object.entries(schema.properties ?? {}).map(([key, inner]) => [key, example(inner, text)]),
      )
    case 'array':
      return []
    case 'boolean':
      return false
    case 'integer':
    case 'number':
      return 0
    default:
      return text
  }
}
