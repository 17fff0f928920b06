// Google Vertex AI as model endpoint: access tokens are asked for here with a service account or a login of gcloud, so that
// neither is inside a sandbox. Sources: RFC 7523 (signed assertion) and RFC 6749 section 6 (refresh token).
import { importPKCS8, SignJWT } from 'jose'
import { z } from 'zod'
import { AppError } from '../protocol/errors.ts'
import type { Refusal } from './anthropic-error.ts'
import type { Upstream } from './upstream.ts'

export interface VertexSettings {
  region: string | undefined
  project: string | undefined
  /** The public endpoint of the region unless given; up to and with the version. */
  baseUrl: string | undefined
  /** What is in the file of credentials, as Google's tools write it. */
  credentials: string | undefined
}

const DEFAULT_REGION = 'us-east5'
const TOKEN_URL = 'https://oauth2.googleapis.com/token'
const SCOPE = 'https://www.googleapis.com/auth/cloud-platform'
const TOKEN_LIMIT_MS = 20_000
/** A token is not used in its last minute. */
const MARGIN_MS = 60_000

const accountSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('service_account'),
    client_email: z.string(),
    private_key: z.string(),
    private_key_id: z.string().optional(),
    token_uri: z.url().default(TOKEN_URL),
  }),
  z.object({
    type: z.literal('authorized_user'),
    client_id: z.string(),
    client_secret: z.string(),
    refresh_token: z.string(),
    token_uri: z.url().default(TOKEN_URL),
  }),
])
type Account = z.infer<typeof accountSchema>

const tokenSchema = z.object({ access_token: z.string(), expires_in: z.number().default(3600) })

interface Token {
  value: string
  usableUntil: number
}

export function createVertexUpstream(settings: VertexSettings): Upstream | Refusal {
  const { project, credentials, region = DEFAULT_REGION } = settings
  if (project === undefined || credentials === undefined) return INCOMPLETE
  const account = parseAccount(credentials)
  let token: Token | undefined
  let asking: Promise<Token> | undefined
  const ask = async () => {
    try {
      token = await requestToken(account)
      return token
    } finally {
      asking = undefined
    }
  }
  const current = async () => {
    if (token && token.usableUntil > Date.now()) return token
    asking ??= ask()
    return asking
  }
  return {
    form: { kind: 'vertex', region, project },
    baseUrl: settings.baseUrl ?? `${hostOf(region)}/v1`,
    authorize: async () => ({ authorization: `Bearer ${(await current()).value}` }),
    secrets: () => [...(token ? [token.value] : []), ...secretsOf(account)],
  }
}

function parseAccount(text: string): Account {
  let found: unknown
  try {
    found = JSON.parse(text)
  } catch (error) {
    throw unusable('is not JSON', error)
  }
  const { success, data, error } = accountSchema.safeParse(found)
  if (!success) throw unusable('is neither a service account nor a login of gcloud', error)
  return data
}

function unusable(why: string, cause: unknown): AppError {
  const message = `The file that GOOGLE_APPLICATION_CREDENTIALS names ${why}.`
  return new AppError('invalid', 'model_credentials_invalid', message, { cause })
}

/** The endpoint's own error is told without its body: that may repeat what was sent. */
async function requestToken(account: Account): Promise<Token> {
  const response = await fetch(account.token_uri, {
    method: 'POST',
    body: new URLSearchParams(await grantOf(account)),
    redirect: 'error',
    signal: AbortSignal.timeout(TOKEN_LIMIT_MS),
  }).catch((cause: unknown) => {
    const message = 'Google gives no access token: it cannot be reached.'
    throw new AppError('unavailable', 'model_token_failed', message, { cause })
  })
  const { success, data } = tokenSchema.safeParse(await response.json().catch(() => undefined))
  if (!response.ok || !success)
    throw new AppError(
      'unavailable',
      'model_token_failed',
      `Google gives no access token: it answered with status ${response.status}.`,
    )
  return {
    value: data.access_token,
    usableUntil: Date.now() + data.expires_in * 1000 - MARGIN_MS,
  }
}

async function grantOf(account: Account): Promise<Record<string, string>> {
  if (account.type === 'authorized_user') {
    const { client_id, client_secret, refresh_token } = account
    return { grant_type: 'refresh_token', client_id, client_secret, refresh_token }
  }
  const key = await importPKCS8(account.private_key, 'RS256')
  const assertion = await new SignJWT({ scope: SCOPE })
    .setProtectedHeader({ alg: 'RS256', kid: account.private_key_id })
    .setIssuer(account.client_email)
    .setAudience(account.token_uri)
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(key)
  return { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion }
}

function hostOf(region: string): string {
  if (region === 'global') return 'https://aiplatform.googleapis.com'
  if (region === 'us' || region === 'eu') return `https://aiplatform.${region}.rep.googleapis.com`
  return `https://${region}-aiplatform.googleapis.com`
}

function secretsOf(account: Account): string[] {
  if (account.type === 'service_account') return [account.private_key]
  return [account.client_secret, account.refresh_token]
}

const INCOMPLETE: Refusal = {
  status: 400,
  reason: 'model_key_missing',
  message:
    'Vertex is chosen (CLAUDE_CODE_USE_VERTEX) and not set up: start Errand with ANTHROPIC_VERTEX_PROJECT_ID and with GOOGLE_APPLICATION_CREDENTIALS, a file with a service account or a login of gcloud',
}
