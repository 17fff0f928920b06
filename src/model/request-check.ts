// What a session may ask of the model. Pure: reads the parsed body of a Messages API request and answers with a refusal or
// nothing. Everything that would make the provider reach out by itself (URL and file sources, server-side tools, MCP servers,
// containers), use state of other sessions, or choose a model that is not allowed is refused; unknown fields and types are too,
// because a new one may do any of that. It does not judge what the prompt says.
import type { Refusal } from './anthropic-error.ts'

export interface RequestPolicy {
  /** May the provider fetch from this host for the session (its egress level)? */
  allowsHost: (host: string) => boolean
  allowsModel: (model: string) => boolean
}

type Json = Record<string, unknown>
type Found = Refusal | undefined

/** Fields that change how the model answers and nothing else. */
const PLAIN_FIELDS = new Set([
  'max_tokens',
  'metadata',
  'stop_sequences',
  'stream',
  'temperature',
  'top_k',
  'top_p',
  'thinking',
  'tool_choice',
  'context_management',
  'compaction',
  'output_config',
  'output_format',
  'cache_control',
  'service_tier',
  'speed',
  'inference_geo',
  'diagnostics',
  'fallback_credit_token',
])
const CHECKED_FIELDS = new Set(['model', 'fallbacks', 'messages', 'system', 'tools', 'safeguards'])
/** Checks of the provider's own on its answer: Claude Code asks for them in plan mode. */
const SAFEGUARDS = new Set(['dangerous_tool_use'])

/** Tools that the agent itself carries out, by the beginning of their `type`; and a search in the request's own tools. */
const CLIENT_TOOLS =
  /^(custom|(bash|text_editor|memory|computer|computer_toolset|browser_toolset)_\d{8}|tool_search_tool_(regex|bm25)(_\d{8})?)$/
/** Content blocks that are nothing but content, or hold what is checked below. */
const BLOCKS = new Set([
  'text',
  'thinking',
  'redacted_thinking',
  'tool_use',
  'tool_result',
  'tool_reference',
  'tool_addition',
  'tool_removal',
  'server_tool_use',
  'tool_search_tool_result',
  'tool_search_tool_search_result',
  'tool_search_tool_result_error',
  'image',
  'document',
  'search_result',
  'compaction',
  'fallback',
])
const MAX_DEPTH = 8

export function checkRequest(body: unknown, policy: RequestPolicy): Found {
  if (!isObject(body) || typeof body.model !== 'string' || !Array.isArray(body.messages))
    return refuse('request_invalid', 'this is not a Messages API request')
  return (
    checkFields(body) ??
    checkModels(body, policy) ??
    first(asList(body.tools), checkTool) ??
    first(asList(body.safeguards), checkSafeguard) ??
    checkContent(body.system, policy, 0) ??
    first(body.messages, (message) => checkMessage(message, policy))
  )
}

function checkFields(body: Json): Found {
  return first(Object.keys(body), (field) => {
    if (PLAIN_FIELDS.has(field) || CHECKED_FIELDS.has(field) || isNothing(body[field]))
      return undefined
    if (field === 'mcp_servers')
      return refuse(
        'mcp_servers_not_allowed',
        'MCP servers that the provider connects to are not allowed',
      )
    if (field === 'container')
      return refuse('container_not_allowed', 'containers of the provider are not allowed')
    return refuse('field_not_allowed', `the field ${quote(field)} is not allowed`)
  })
}

/** `fallbacks` is a list of models or the word "default", which no list of models holds. */
export function modelsOf(body: Json): unknown[] {
  const fallbacks = asList(body.fallbacks).map((one) => (isObject(one) ? one.model : one))
  return [body.model, ...fallbacks]
}

function checkModels(body: Json, { allowsModel }: RequestPolicy): Found {
  return first(modelsOf(body), (model) =>
    typeof model === 'string' && allowsModel(model)
      ? undefined
      : refuse('model_not_allowed', `the model ${quote(model)} is not allowed here`),
  )
}

function checkTool(tool: unknown): Found {
  if (!isObject(tool)) return refuse('request_invalid', 'a tool must be an object')
  if (isNothing(tool.type) || CLIENT_TOOLS.test(String(tool.type))) return undefined
  return refuse(
    'server_tool_not_allowed',
    `tools that the provider carries out are not allowed: ${quote(tool.type)}`,
  )
}

function checkSafeguard(safeguard: unknown): Found {
  const type = isObject(safeguard) ? safeguard.type : safeguard
  if (typeof type === 'string' && SAFEGUARDS.has(type)) return undefined
  return refuse('field_not_allowed', `a safeguard of the type ${quote(type)} is not allowed`)
}

function checkMessage(message: unknown, policy: RequestPolicy): Found {
  if (!isObject(message)) return refuse('request_invalid', 'a message must be an object')
  return checkContent(message.content, policy, 0)
}

function checkContent(content: unknown, policy: RequestPolicy, depth: number): Found {
  if (isNothing(content) || typeof content === 'string') return undefined
  if (depth > MAX_DEPTH) return refuse('request_invalid', 'content is nested too deeply')
  const blocks = Array.isArray(content) ? content : [content]
  return first(blocks, (block) => checkBlock(block, policy, depth))
}

function checkBlock(block: unknown, policy: RequestPolicy, depth: number): Found {
  if (typeof block === 'string') return undefined
  if (!isObject(block) || typeof block.type !== 'string')
    return refuse('request_invalid', 'a content block must be an object with a type')
  if (block.type === 'container_upload')
    return refuse('file_source_not_allowed', 'files kept at the provider are not allowed')
  if (!BLOCKS.has(block.type))
    return refuse('content_not_allowed', `content of the type ${quote(block.type)} is not allowed`)
  return (
    checkToolChange(block) ??
    (isObject(block.source) ? checkSource(block.source, policy, depth) : undefined) ??
    checkContent(block.content, policy, depth + 1)
  )
}

/** Tools may be added in the middle of a conversation: by a block, or by a list in a compaction block. */
function checkToolChange(block: Json): Found {
  if (block.type === 'compaction')
    return first(asList(block.tool_changes), (change) =>
      isObject(change) ? checkToolChange(change) : undefined,
    )
  if (block.type !== 'tool_addition' || !isObject(block.tool)) return undefined
  const { tool } = block
  if (tool.type === 'tool_reference') return undefined
  if (tool.type === 'tool_definition') return checkTool(tool.definition)
  return refuse('server_tool_not_allowed', `a tool of the type ${quote(tool.type)} is not allowed`)
}

function checkSource(source: Json, policy: RequestPolicy, depth: number): Found {
  switch (source.type) {
    case 'base64':
    case 'text':
      return undefined
    case 'content':
      return checkContent(source.content, policy, depth + 1)
    case 'url':
      return checkUrl(source.url, policy)
    case 'file':
      return refuse('file_source_not_allowed', 'files kept at the provider are not allowed')
    default:
      return refuse(
        'source_not_allowed',
        `a source of the type ${quote(source.type)} is not allowed`,
      )
  }
}

/** The provider fetches it, not the sandbox: so the host must be one that the session may reach. */
function checkUrl(value: unknown, { allowsHost }: RequestPolicy): Found {
  const url = typeof value === 'string' && URL.canParse(value) ? new URL(value) : undefined
  if (url && ['http:', 'https:'].includes(url.protocol) && allowsHost(url.hostname))
    return undefined
  return refuse(
    'url_source_not_allowed',
    `the provider may not fetch from ${quote(url?.hostname ?? value)}: this session's network level does not allow it`,
  )
}

function refuse(reason: string, message: string): Refusal {
  return { status: 400, reason, message }
}

function first<T>(items: T[], check: (item: T) => Found): Found {
  for (const item of items) {
    const found = check(item)
    if (found) return found
  }
  return undefined
}

function asList(value: unknown): unknown[] {
  if (isNothing(value)) return []
  return Array.isArray(value) ? value : [value]
}

function isNothing(value: unknown): value is null | undefined {
  return value === undefined || value === null
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Input is quoted in messages, short and without control characters. */
function quote(value: unknown): string {
  return JSON.stringify(String(value).slice(0, 100))
}
