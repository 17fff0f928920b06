// The address of a submodule, as git inside a sandbox makes it of what `.gitmodules` says. Pure. Only https, http and ssh addresses
// that carry no credential are of interest outside: whatever else stands there is left to git inside, and to the network rules.
import { parseRepositoryUrl, type RepositoryUrl } from './repository-url.ts'

const RELATIVE = /^\.\.?\//

/** `base` is the address of the repository that names it. Undefined for what the host does not go after. */
export function resolveSubmoduleUrl(base: string, text: string): RepositoryUrl | undefined {
  const whole = RELATIVE.test(text) ? joinUrl(base, text) : text
  const parsed = whole === undefined ? undefined : parseRepositoryUrl(whole)
  return parsed?.ok && parsed.repository.credential === null ? parsed.repository : undefined
}

/** `https://host`, `ssh://user@host` or `user@host:`, and the path. */
const PARTS = /^((?:https?|ssh):\/\/[^/]+|[^/:]+:(?!\/\/))(.*)$/

/** As git does it (git-submodule): one part off for each `../`, and never above the host. */
function joinUrl(base: string, relative: string): string | undefined {
  const [, origin = '', path = ''] = PARTS.exec(base) ?? []
  if (origin === '') return undefined
  const parts = path.split('/').filter((part) => part !== '')
  let rest = relative
  while (RELATIVE.test(rest)) {
    const isUp = rest.startsWith('../')
    rest = rest.slice(isUp ? 3 : 2)
    if (isUp && parts.pop() === undefined) return undefined
  }
  const joined = [...parts, rest].join('/')
  return path.startsWith('/') ? `${origin}/${joined}` : `${origin}${joined}`
}
