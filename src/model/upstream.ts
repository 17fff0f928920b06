// Which model endpoint the gateway talks to and how a request proves who asks: a key or token of the Messages API, or a
// signature of Bedrock or Vertex. Chosen by Claude Code's own variables, which the roof hands in. Nothing is logged here.

import { AppError } from '../protocol/errors.ts'
import type { ModelForm, ModelInside } from '../protocol/model-endpoint.ts'
import type { Refusal } from './anthropic-error.ts'
import { createBedrockUpstream } from './bedrock.ts'
import { createVertexUpstream } from './vertex.ts'

export interface Upstream {
  form: ModelForm
  /** Without a slash at the end; a target's path comes behind it. */
  baseUrl: string
  /** The headers that say who asks; may have to ask for a token first. Rejects with AppError when there is none. */
  authorize(request: UnsignedRequest, signal: AbortSignal): Promise<Record<string, string>>
  /** What must not be shown, should the endpoint repeat it. */
  secrets(): string[]
}

export interface UnsignedRequest {
  url: string
  body: Buffer
}

/** Claude Code's own variables of the model endpoint. */
export const MODEL_VARIABLES = [
  'ANTHROPIC_API_KEY',
  'ANTHROPIC_AUTH_TOKEN',
  'ANTHROPIC_BASE_URL',
  'CLAUDE_CODE_USE_BEDROCK',
  'ANTHROPIC_BEDROCK_BASE_URL',
  'AWS_REGION',
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_BEARER_TOKEN_BEDROCK',
  'CLAUDE_CODE_USE_VERTEX',
  'ANTHROPIC_VERTEX_BASE_URL',
  'ANTHROPIC_VERTEX_PROJECT_ID',
  'CLOUD_ML_REGION',
  'GOOGLE_APPLICATION_CREDENTIALS',
  'CLAUDE_CODE_USE_FOUNDRY',
  'CLAUDE_CODE_OAUTH_TOKEN',
] as const
/** Names of models, which are no secret: sandboxes are told them. */
export const MODEL_NAME_VARIABLES = [
  'ANTHROPIC_MODEL',
  'ANTHROPIC_SMALL_FAST_MODEL',
  'ANTHROPIC_DEFAULT_OPUS_MODEL',
  'ANTHROPIC_DEFAULT_SONNET_MODEL',
  'ANTHROPIC_DEFAULT_HAIKU_MODEL',
] as const
type VariableName = (typeof MODEL_VARIABLES)[number] | (typeof MODEL_NAME_VARIABLES)[number]

export interface ModelSettings {
  variables: Partial<Record<VariableName, string>>
  /** What is in the file that GOOGLE_APPLICATION_CREDENTIALS names. */
  googleCredentials?: string
}

const DEFAULT_BASE_URL = 'https://api.anthropic.com'
const SUBSCRIPTION_TOKEN = /^sk-ant-oat/

/** A refusal, which each model request is then answered with, where no endpoint is set up; throws AppError for unusable values. */
export function readUpstream({ variables, googleCredentials }: ModelSettings): Upstream | Refusal {
  const read = (name: VariableName) => readVariable(variables, name)
  if (isOn(read('CLAUDE_CODE_USE_FOUNDRY'))) return FOUNDRY
  if (isOn(read('CLAUDE_CODE_USE_BEDROCK')))
    return createBedrockUpstream({
      region: read('AWS_REGION'),
      baseUrl: readBaseUrl(variables, 'ANTHROPIC_BEDROCK_BASE_URL'),
      keyId: read('AWS_ACCESS_KEY_ID'),
      secretKey: read('AWS_SECRET_ACCESS_KEY'),
      sessionToken: read('AWS_SESSION_TOKEN'),
      bearer: read('AWS_BEARER_TOKEN_BEDROCK'),
    })
  if (isOn(read('CLAUDE_CODE_USE_VERTEX')))
    return createVertexUpstream({
      region: read('CLOUD_ML_REGION'),
      project: read('ANTHROPIC_VERTEX_PROJECT_ID'),
      baseUrl: readBaseUrl(variables, 'ANTHROPIC_VERTEX_BASE_URL'),
      credentials: googleCredentials,
    })
  const baseUrl = readBaseUrl(variables, 'ANTHROPIC_BASE_URL') ?? DEFAULT_BASE_URL
  const key = read('ANTHROPIC_API_KEY')
  const token = read('ANTHROPIC_AUTH_TOKEN')
  if (key === undefined && token === undefined)
    return read('CLAUDE_CODE_OAUTH_TOKEN') === undefined ? NO_KEY : SUBSCRIPTION
  if ([key, token].some((value) => value !== undefined && SUBSCRIPTION_TOKEN.test(value)))
    return SUBSCRIPTION
  return createMessagesUpstream({ baseUrl, key, token })
}

export function isUpstream(read: Upstream | Refusal): read is Upstream {
  return 'authorize' in read
}

/** Claude Code sends both headers when both variables are set; so does the door. */
export function createMessagesUpstream(at: {
  baseUrl: string
  key?: string
  token?: string
}): Upstream {
  const { baseUrl, key, token } = at
  const headers = {
    ...(key === undefined ? {} : { 'x-api-key': key }),
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
  }
  return {
    form: { kind: 'messages' },
    baseUrl,
    authorize: async () => headers,
    secrets: () => [key, token].filter((value) => value !== undefined),
  }
}

/** What sandboxes are told of it; the Messages API where none is set up. */
export function describeInside(settings: ModelSettings): ModelInside {
  const upstream = readUpstream(settings)
  const form: ModelForm = isUpstream(upstream) ? upstream.form : { kind: 'messages' }
  const names = MODEL_NAME_VARIABLES.flatMap((name) => {
    const value = readVariable(settings.variables, name)
    return value === undefined ? [] : [[name, value] as const]
  })
  // Bedrock's client in the agent wants one; what the gateway signs for is the installation's whatever it says.
  const region = form.kind === 'bedrock' ? [['AWS_REGION', form.region] as const] : []
  return { form, names: Object.fromEntries([...region, ...names]) }
}

/** Does not repeat the value in its message: it may be a key with a stray character. */
function readVariable(
  variables: ModelSettings['variables'],
  name: VariableName,
): string | undefined {
  const value = variables[name]?.trim()
  if (!value) return undefined
  if (/^[\x20-\x7e]+$/.test(value) && !/\s/.test(value)) return value
  throw new AppError('invalid', 'model_key_invalid', `${name} holds characters that it cannot have`)
}

/** As Claude Code reads its switches. */
function isOn(value: string | undefined): boolean {
  return value !== undefined && /^(1|true|yes|on)$/i.test(value)
}

function readBaseUrl(
  variables: ModelSettings['variables'],
  name: VariableName,
): string | undefined {
  const text = readVariable(variables, name)
  if (text === undefined) return undefined
  const url = URL.canParse(text) ? new URL(text) : undefined
  const usable = url && ['http:', 'https:'].includes(url.protocol) && !url.username && !url.password
  if (!usable || url.search || url.hash)
    throw new AppError(
      'invalid',
      'model_base_url_invalid',
      `${name} must be an http or https address without user, query or fragment`,
    )
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`
}

const NO_KEY: Refusal = {
  status: 400,
  reason: 'model_key_missing',
  message:
    'no key for the model API is set: start Errand with ANTHROPIC_API_KEY or ANTHROPIC_AUTH_TOKEN',
}
const SUBSCRIPTION: Refusal = {
  status: 400,
  reason: 'model_subscription_token',
  message:
    'the token of a Claude subscription is for Claude Code and claude.ai alone, not for a gateway that adds it to requests: start Errand with ANTHROPIC_API_KEY',
}
const FOUNDRY: Refusal = {
  status: 400,
  reason: 'model_provider_unsupported',
  message:
    'Foundry is not supported (CLAUDE_CODE_USE_FOUNDRY): use its Messages API by ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY',
}
