// Rules on what is asked of a host: methods and paths, where its TLS is ended here. Pure.
// A path is compared as a server would read it; one that two programs could read differently (an encoded slash, `..`, a
// backslash) fits no rule.
import type { RequestRule } from '../../protocol/environment.ts'
import { parsePattern } from './hosts.ts'

export interface RequestRules {
  host: string
  below: boolean
  /** Null: any. */
  methods: ReadonlySet<string> | null
  paths: readonly ((path: string) => boolean)[] | null
}

/** Servers that answer it send the request's headers back, a credential among them. */
const NEVER = new Set(['TRACE', 'TRACK', 'CONNECT'])

export function compileRequestRules(rules: readonly RequestRule[]): RequestRules[] {
  return rules.flatMap(({ host, methods, paths }) => {
    const pattern = parsePattern(host)
    if (!pattern) return []
    return [
      {
        host: pattern.host,
        below: pattern.below,
        methods: methods.length === 0 ? null : new Set(methods),
        paths: paths.length === 0 ? null : paths.map(pathMatcher),
      },
    ]
  })
}

/** Those of the pattern that fits the host best: the host itself, else the longest domain above it. */
export function requestRulesFor(rules: readonly RequestRules[], host: string): RequestRules[] {
  const fits = rules.filter(({ host: pattern, below }) => fitsHost({ host: pattern, below }, host))
  const best = Math.max(...fits.map(hostRank))
  return fits.filter((rule) => hostRank(rule) === best)
}

export function fitsHost(
  { host, below }: { host: string; below: boolean },
  asked: string,
): boolean {
  return below ? asked.endsWith(`.${host}`) : asked === host
}

/** The greater the better it fits, among patterns that fit one host. */
export function hostRank({ host, below }: { host: string; below: boolean }): number {
  return below ? host.length : Number.MAX_SAFE_INTEGER
}

/** Null when the request may go on. `path` is in origin form, with its query. */
export function judgeRequest(
  rules: readonly RequestRules[],
  { method, path }: { method: string; path: string },
): 'method_not_allowed' | 'path_not_allowed' | null {
  if (NEVER.has(method)) return 'method_not_allowed'
  if (rules.length === 0) return null
  const named = rules.filter(({ methods }) => methods === null || methods.has(method))
  if (named.length === 0) return 'method_not_allowed'
  if (named.some(({ paths }) => paths === null)) return null
  const plain = plainPath(path)
  const fits = plain !== null && named.some(({ paths }) => paths?.some((match) => match(plain)))
  return fits ? null : 'path_not_allowed'
}

/** The path as every server reads it, without the query; null when servers may differ. */
export function plainPath(target: string): string | null {
  const [raw = ''] = target.split('?', 1)
  if (!raw.startsWith('/') || raw.includes('//') || /[\\\p{Cc}\s]/u.test(raw)) return null
  // An encoded percent sign is the beginning of a second decoding.
  if (/%(?:2f|5c|25)/i.test(raw)) return null
  let path: string
  try {
    path = decodeURIComponent(raw)
  } catch {
    return null
  }
  const isOdd =
    /[\\\p{Cc}]/u.test(path) || path.split('/').some((part) => /^\.\.?(?:;|$)/.test(part))
  return isOdd ? null : path
}

/** Whether a path lies below a prefix as a whole: `/v1` and `/v1/` hold `/v1/x`, and never `/v10`. */
export function isBelow(prefix: string, path: string): boolean {
  const folder = prefix.endsWith('/') ? prefix : `${prefix}/`
  return path === prefix || path.startsWith(folder)
}

/** `*` at the end stands for everything that follows, elsewhere for what is within one part of the path. */
function pathMatcher(pattern: string): (path: string) => boolean {
  const isOpen = pattern.endsWith('*')
  const source = (isOpen ? pattern.slice(0, -1) : pattern)
    .split('*')
    .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
    .join('[^/]*')
  const expression = new RegExp(`^${source}${isOpen ? '.*' : ''}$`, 's')
  return (path) => expression.test(path)
}
