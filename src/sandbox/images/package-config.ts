// Configuration of package managers with every credential taken out, so that sandboxes use the machine's registries and
// mirrors. Pure. It removes what is known to hold credentials; it cannot know a secret that somebody put into a path.

const BUNDLE = '/etc/ssl/certs/ca-certificates.crt'

/** `https://user:password@host/` becomes `https://host/`. */
function withoutUserInfo(text: string): string {
  return text.replace(/(\b[a-z][a-z0-9+.-]*:\/\/)[^/\s"'@]*@/gi, '$1')
}

const NPM_SECRET =
  /auth|password|username|email|token|secret|otp|proxy|(^|[-_:])(key|keyfile|cert|certfile|ca)$/i

/** Keeps settings, drops what belongs to one host (`//host/:_authToken`), what names a credential, and variables. */
export function cleanNpmrc(text: string): string {
  const clean = (key: string, value: string) => {
    if (key.startsWith('//') || NPM_SECRET.test(key) || value.includes('${')) return undefined
    return key === 'cafile' ? BUNDLE : withoutUserInfo(value)
  }
  return cleanLines(text, { sign: /=/, clean })
}

const PIP_SECRET = /^(client-cert|proxy|keyring-provider|password|username|token)$/i

/** For pip.conf, sections and multi-line values included. */
export function cleanPipConf(text: string): string {
  const clean = (key: string, value: string) => {
    if (PIP_SECRET.test(key)) return undefined
    return key === 'cert' ? BUNDLE : withoutUserInfo(value)
  }
  return cleanLines(text, { sign: /[=:]/, clean })
}

/** For sources.list and *.sources. */
export function cleanAptSources(text: string): string {
  return withoutUserInfo(text)
}

/** For apt.conf: no proxies, no client certificates, no credentials, no commands. */
export function cleanAptConf(text: string): string {
  const unwanted = /proxy|password|login|auth|ssl(cert|key)|token|(pre|post)-invoke|pre-install/i
  const kept: string[] = []
  let depthToSkip = 0
  for (const line of text.split('\n')) {
    const opened = count(line, '{') - count(line, '}')
    if (depthToSkip > 0) depthToSkip += opened
    else if (!unwanted.test(line)) kept.push(withoutUserInfo(line))
    else depthToSkip = Math.max(0, opened)
  }
  return kept.join('\n')
}

function count(text: string, mark: string): number {
  return text.split(mark).length - 1
}

interface Cleaning {
  /** What stands between key and value: keys of npm hold colons themselves (`@scope:registry`). */
  sign: RegExp
  clean: (key: string, value: string) => string | undefined
}

/** Goes through `key = value` lines; a dropped key takes the indented lines that continue it along. */
function cleanLines(text: string, { sign, clean }: Cleaning): string {
  const kept: string[] = []
  let dropping = false
  for (const line of text.split('\n')) {
    const at = /^[\s#;[]/.test(line) ? -1 : line.search(sign)
    if (at === -1) {
      if (!(dropping && /^\s+\S/.test(line))) kept.push(withoutUserInfo(line))
      continue
    }
    const key = line.slice(0, at).trim()
    const cleaned = clean(key, line.slice(at + 1).trim())
    dropping = cleaned === undefined
    if (cleaned !== undefined) kept.push(`${key} = ${cleaned}`)
  }
  return kept.join('\n')
}
