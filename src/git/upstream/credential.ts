// The credential for one upstream: what it is, how git is given it, and how it is kept out of everything that git says.
// It lives in memory for one request; an ssh key lies in a private file while its git runs. Other processes of gitd's own
// user (and root) can read it from the environment of that git; nobody else can.
import { z } from 'zod'
import type { Settings } from '../git-process.ts'
import type { RepositoryUrl } from './repository-url.ts'

export const upstreamCredentialSchema = z.object({
  id: z.string().regex(/^[A-Za-z0-9_-]{1,64}$/),
  /** For http and https; many hosts take any name beside a token. */
  username: z.string().max(255).nullish(),
  /** A password or token; for ssh a private key in PEM or OpenSSH form. */
  secret: z.string().min(1).max(20_000),
  /** For ssh: lines of a known_hosts file. Without them the first key that is seen is kept and must stay. */
  knownHosts: z.string().max(50_000).nullish(),
})
export type UpstreamCredential = z.infer<typeof upstreamCredentialSchema>

const ANY_USERNAME = 'x-access-token'

export function httpSettings(repository: RepositoryUrl, credential?: UpstreamCredential): Settings {
  if (!credential) return [['http.followRedirects', 'initial']]
  const origin = new URL(repository.url).origin
  return [
    // curl sends an extra header along to wherever it is redirected.
    ['http.followRedirects', 'false'],
    [`http.${origin}/.extraHeader`, `Authorization: ${basicAuthorization(credential)}`],
  ]
}

/** The value of an `authorization` header. */
export function basicAuthorization(credential: UpstreamCredential): string {
  return `Basic ${basic(credential)}`
}

function basic({ username, secret }: UpstreamCredential): string {
  return Buffer.from(`${username || ANY_USERNAME}:${secret}`).toString('base64')
}

/** Replaces every form of the secret that git or a forge may echo. */
export function redact(text: string, credential?: UpstreamCredential): string {
  if (!credential) return text
  const { secret } = credential
  const forms = [
    basic(credential),
    Buffer.from(secret).toString('base64'),
    encodeURIComponent(secret),
    secret,
  ]
  return forms
    .filter((form) => form.length >= 4)
    .reduce((rest, form) => rest.replaceAll(form, '[redacted]'), text)
}

/** The header in which the gateway hands a credential to gitd, beside a stream. */
export const CREDENTIAL_HEADER = 'x-errand-credential'

export function encodeCredential(credential: UpstreamCredential): string {
  return Buffer.from(JSON.stringify(credential)).toString('base64')
}

/** Undefined when the header is absent or holds no credential. */
export function decodeCredential(header: string | undefined): UpstreamCredential | undefined {
  if (header === undefined) return undefined
  try {
    return upstreamCredentialSchema.parse(
      JSON.parse(Buffer.from(header, 'base64').toString('utf8')),
    )
  } catch {
    return undefined
  }
}
