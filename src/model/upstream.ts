// Which model endpoint the gateway talks to and with which key. Pure: the values are handed in by the roof and held in memory.
import { AppError } from '../protocol/errors.ts'

export interface Upstream {
  /** Without a slash at the end; the API's own path (`/v1/messages`) comes behind it. */
  baseUrl: string
  /** Claude Code sends both headers when both variables are set; so does the door. */
  auth: UpstreamAuth[]
}

interface UpstreamAuth {
  kind: 'api_key' | 'bearer'
  value: string
}

/** Claude Code's own variables for the model endpoint, as found in the environment of Errand. */
interface UpstreamVariables {
  ANTHROPIC_API_KEY?: string
  ANTHROPIC_AUTH_TOKEN?: string
  ANTHROPIC_BASE_URL?: string
}

const DEFAULT_BASE_URL = 'https://api.anthropic.com'

/** Returns undefined when neither key nor token is set; throws AppError for values that cannot be used. */
export function readUpstream(variables: UpstreamVariables): Upstream | undefined {
  const auth: UpstreamAuth[] = []
  const key = variables.ANTHROPIC_API_KEY?.trim()
  const token = variables.ANTHROPIC_AUTH_TOKEN?.trim()
  if (key) auth.push({ kind: 'api_key', value: checkHeaderValue('ANTHROPIC_API_KEY', key) })
  if (token) auth.push({ kind: 'bearer', value: checkHeaderValue('ANTHROPIC_AUTH_TOKEN', token) })
  if (auth.length === 0) return undefined
  return { baseUrl: parseBaseUrl(variables.ANTHROPIC_BASE_URL?.trim() || DEFAULT_BASE_URL), auth }
}

export function authHeaders({ auth }: Upstream): Record<string, string> {
  return Object.fromEntries(
    auth.map(({ kind, value }) =>
      kind === 'api_key' ? ['x-api-key', value] : ['authorization', `Bearer ${value}`],
    ),
  )
}

function parseBaseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const usable = url && ['http:', 'https:'].includes(url.protocol) && !url.username && !url.password
  if (!usable || url.search || url.hash)
    throw new AppError(
      'invalid',
      'model_base_url_invalid',
      'ANTHROPIC_BASE_URL must be an http or https address without user, query or fragment',
    )
  return `${url.origin}${url.pathname.replace(/\/+$/, '')}`
}

/** Does not repeat the value in its message: it may be a key with a stray character. */
function checkHeaderValue(name: string, value: string): string {
  if (/^[\x21-\x7e]+$/.test(value)) return value
  throw new AppError('invalid', 'model_key_invalid', `${name} holds characters that no key has`)
}
