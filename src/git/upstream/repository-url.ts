// Which repository addresses git on the host may be given. Pure; refusals are values.
// Says nothing about what a host name resolves to: that is decided by the proxy that git has to use.

export interface RepositoryUrl {
  /** Normalised and without a credential: safe to store, to show, and to put behind `--`. */
  url: string
  protocol: 'https' | 'http' | 'ssh'
  host: string
  port: number
  /** Last part of the path without `.git`, safe as a folder name. */
  name: string
  /** What stood as `user:token@` before the host of an http address; never part of `url`. */
  credential: { username: string | null; secret: string } | null
}

/** Which kind of an owner's credentials is for it. */
export function credentialKind(protocol: RepositoryUrl['protocol']): 'https' | 'ssh' {
  return protocol === 'ssh' ? 'ssh' : 'https'
}

export type RepositoryUrlResult =
  | { ok: true; repository: RepositoryUrl }
  | { ok: false; reason: string; message: string }

type Refusal = Extract<RepositoryUrlResult, { ok: false }>

const DEFAULT_PORTS = { https: 443, http: 80, ssh: 22 } as const
const HOST = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/
const SSH_USER = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/
const SCP_LIKE = /^(?:([^@:/]+)@)?([A-Za-z0-9.-]+):(?!\/\/)(.+)$/
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it refuses
const UNSAFE_TEXT = /[\u0000-\u0020\u007f-\u009f\u2028\u2029\\]/
/** A lone user name this long is taken for a token (`https://TOKEN@host/…`); a shorter one is dropped. */
const TOKEN_LENGTH = 20

export function parseRepositoryUrl(text: string): RepositoryUrlResult {
  if (text.length === 0 || text.length > 2048)
    return refuse('repository_url_invalid', 'A repository address has 1 to 2048 characters.')
  if (UNSAFE_TEXT.test(text) || !text.isWellFormed())
    return refuse(
      'repository_url_invalid',
      'A repository address holds no spaces, control characters or backslashes.',
    )
  if (text.startsWith('-'))
    return refuse('repository_url_invalid', 'A repository address does not begin with "-".')
  if (/^[A-Za-z0-9]+::/.test(text))
    return refuse('repository_protocol_refused', 'Transport helpers ("name::") are not allowed.')
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(text)?.[1]?.toLowerCase()
  if (scheme === 'https' || scheme === 'http') return parseHttp(text)
  if (scheme === 'ssh') return parseSsh(text)
  if (scheme !== undefined)
    return refuse(
      'repository_protocol_refused',
      `Only https, http and ssh are allowed, not ${scheme}.`,
    )
  return parseScpLike(text)
}

function parseHttp(text: string): RepositoryUrlResult {
  const url = parseUrl(text)
  if (!url) return refuse('repository_url_invalid', 'This is not a valid address.')
  const path = checkPath(rawPath(text))
  if (typeof path !== 'string') return path
  const host = url.hostname.toLowerCase()
  if (!isHost(host)) return refuse('repository_url_invalid', 'The host name is not valid.')
  const credential = httpCredential(url)
  if (credential === undefined)
    return refuse('repository_url_invalid', 'The credential in the address is not valid.')
  const protocol = url.protocol === 'https:' ? 'https' : 'http'
  const port = url.port === '' ? DEFAULT_PORTS[protocol] : Number(url.port)
  const shownPort = url.port === '' ? '' : `:${port}`
  return accept(
    { url: `${protocol}://${host}${shownPort}${path}`, protocol, host, port, credential },
    path,
  )
}

function parseSsh(text: string): RepositoryUrlResult {
  const url = parseUrl(text)
  if (!url) return refuse('repository_url_invalid', 'This is not a valid address.')
  if (url.password !== '')
    return refuse('repository_url_invalid', 'An ssh address takes no password; use a key.')
  if (url.username !== '' && !SSH_USER.test(url.username))
    return refuse('repository_url_invalid', 'The user name is not valid.')
  const path = checkPath(rawPath(text))
  if (typeof path !== 'string') return path
  const host = url.hostname.toLowerCase()
  if (!isHost(host)) return refuse('repository_url_invalid', 'The host name is not valid.')
  const port = url.port === '' ? DEFAULT_PORTS.ssh : Number(url.port)
  const user = url.username === '' ? '' : `${url.username}@`
  const shownPort = port === DEFAULT_PORTS.ssh ? '' : `:${port}`
  return accept(
    {
      url: `ssh://${user}${host}${shownPort}${path}`,
      protocol: 'ssh',
      host,
      port,
      credential: null,
    },
    path,
  )
}

function parseScpLike(text: string): RepositoryUrlResult {
  const match = SCP_LIKE.exec(text)
  const host = match?.[2]?.toLowerCase() ?? ''
  const rest = match?.[3] ?? ''
  const user = match?.[1]
  // One letter before the colon is a drive of a local path.
  if (!match || host.length < 2 || !isHost(host))
    return refuse(
      'repository_protocol_refused',
      'Give an address with https://, http:// or ssh://, or in the form git@host:path; local paths are not allowed.',
    )
  if (user !== undefined && !SSH_USER.test(user))
    return refuse('repository_url_invalid', 'The user name is not valid.')
  if (rest.startsWith('-')) return refuse('repository_url_invalid', 'The path is not valid.')
  const path = checkPath(rest.startsWith('/') ? rest : `/${rest}`)
  if (typeof path !== 'string') return path
  const shownPath = rest.startsWith('/') ? path : path.slice(1)
  const url = `${user === undefined ? '' : `${user}@`}${host}:${shownPath}`
  return accept({ url, protocol: 'ssh', host, port: DEFAULT_PORTS.ssh, credential: null }, path)
}

function parseUrl(text: string): URL | undefined {
  // URL would take the first part of the path for the host that is missing.
  if (text.includes(':///')) return undefined
  return URL.canParse(text) ? new URL(text) : undefined
}

/** The path as it was written: URL would resolve `..` before it can be refused. */
function rawPath(text: string): string {
  const afterScheme = text.slice(text.indexOf('://') + 3)
  const slash = afterScheme.indexOf('/')
  return slash === -1 ? '/' : afterScheme.slice(slash)
}

function checkPath(path: string): string | Refusal {
  const invalid = refuse('repository_url_invalid', 'The path of the repository is not valid.')
  if (/[?#]/.test(path)) return invalid
  const trimmed = path.replace(/\/+$/, '')
  if (trimmed === '') return refuse('repository_url_invalid', 'The address names no repository.')
  for (const part of trimmed.split('/').slice(1)) {
    const decoded = decodePart(part)
    if (decoded === undefined || decoded === '' || decoded === '.' || decoded === '..')
      return invalid
    if (decoded.includes('/') || UNSAFE_TEXT.test(decoded.replaceAll(' ', ''))) return invalid
  }
  return trimmed
}

function decodePart(part: string): string | undefined {
  try {
    return decodeURIComponent(part)
  } catch {
    return undefined
  }
}

function isHost(host: string): boolean {
  return HOST.test(host) || /^\[[0-9a-f:.]+\]$/.test(host)
}

/** Undefined when it cannot be decoded; null when there is none. */
function httpCredential(url: URL): RepositoryUrl['credential'] | undefined {
  const username = decodePart(url.username)
  const password = decodePart(url.password)
  if (username === undefined || password === undefined) return undefined
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a line end here would become a header of its own
  if (/[\u0000-\u001f\u007f]/.test(username + password)) return undefined
  if (password !== '') return { username: username === '' ? null : username, secret: password }
  return username.length >= TOKEN_LENGTH ? { username: null, secret: username } : null
}

function accept(repository: Omit<RepositoryUrl, 'name'>, path: string): RepositoryUrlResult {
  return { ok: true, repository: { ...repository, name: folderName(path) } }
}

function folderName(path: string): string {
  const last = decodePart(path.split('/').at(-1) ?? '') ?? ''
  const name = last
    .replace(/\.git$/i, '')
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[.-]+/, '')
    .slice(0, 100)
    .replace(/[.-]+$/, '')
  return name === '' ? 'repository' : name
}

function refuse(reason: string, message: string): Refusal {
  return { ok: false, reason, message }
}

export function isCommitId(text: string): boolean {
  return /^[0-9a-f]{40}$/.test(text)
}
