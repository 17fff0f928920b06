// The connections outward that are open, by session: counted, looked at again when a policy changes, ended when it no longer
// allows them or the session has moved all that it may. Their bytes are counted in steps while they last.
import type { Socket } from 'node:net'
import { decideHost, decideRequest, isDenied, isJudgedByHost } from '../rules/decide.ts'
import { parseHost } from '../rules/hosts.ts'
import type { EgressRules } from '../rules/policy.ts'
import type { Traffic } from '../rules/traffic.ts'
import type { ProxyTarget } from './proxy-target.ts'

/** One connection, from before it is dialled to its end. */
export interface OpenEntry {
  id: string
  sessionId: string
  target: ProxyTarget
  method: string
  /** Milliseconds since 1970. */
  startedMs: number
  /** By which it was allowed; undefined while it is decided. */
  rules?: EgressRules
  upstream?: Socket
  /** Why it was ended from here. */
  cutReason: string | null
  /** Bytes that were counted already. */
  counted: number
  /** The name of the one that was added. */
  credential?: string
}

export interface OpenExchanges {
  count(sessionId: string): number
  add(entry: OpenEntry): void
  remove(entry: OpenEntry): void
  /** Ends what the rules of now do not allow any more; how many that were. */
  recheck(sessionId: string, rules: EgressRules): number
}

export interface OpenExchangesDeps {
  traffic: Traffic
  /** Called with each connection that has moved bytes since the last step. */
  onMoved?: (entry: OpenEntry) => void
}

const STEP_MS = 500

export function createOpenExchanges({ traffic, onMoved }: OpenExchangesDeps): OpenExchanges {
  const open = new Map<string, Set<OpenEntry>>()
  let timer: NodeJS.Timeout | undefined
  const count = (entry: OpenEntry): boolean => {
    const { upstream } = entry
    const moved = upstream ? upstream.bytesRead + upstream.bytesWritten : 0
    const news = moved - entry.counted
    entry.counted = moved
    if (news === 0) return true
    const isLeft = traffic.use(entry.sessionId, news)
    onMoved?.(entry)
    return isLeft
  }
  const step = () => {
    for (const entries of open.values()) {
      const isLeft = [...entries].map(count).every(Boolean)
      if (!isLeft) for (const entry of entries) cut(entry, 'bytes_exhausted')
    }
  }
  return {
    count: (sessionId) => open.get(sessionId)?.size ?? 0,
    add: (entry) => {
      const entries = open.get(entry.sessionId) ?? new Set()
      open.set(entry.sessionId, entries.add(entry))
      timer ??= setInterval(step, STEP_MS).unref()
    },
    remove: (entry) => {
      const entries = open.get(entry.sessionId)
      if (!entries?.delete(entry)) return
      count(entry)
      if (entries.size === 0) open.delete(entry.sessionId)
      if (open.size > 0) return
      clearInterval(timer)
      timer = undefined
    },
    recheck: (sessionId, rules) => {
      const ending = [...(open.get(sessionId) ?? [])].filter((entry) => !mayStay(entry, rules))
      for (const entry of ending) cut(entry, 'policy_changed')
      return ending.length
    },
  }
}

/** What is dialled now is judged again when it is connected: see exchange.ts. */
export function mayStay({ target, method, rules, upstream }: OpenEntry, now: EgressRules) {
  if (!upstream || rules === now) return true
  const { host, port, path, scheme } = target
  if (!decideHost(now, host, port).allow) return false
  // What goes through a tunnel was never read.
  if (path === '' && !isJudgedByHost(now, host, port)) return false
  if (path !== '' && decideRequest(now, target, { scheme, method, path }) !== null) return false
  const address = parseHost(upstream.remoteAddress ?? '')
  if (isDenied(now, address, target.port)) return false
  // Its greeting was never compared with the name that a list would allow it by.
  return !(method === 'CONNECT' && rules?.level === 'full' && now.level !== 'full')
}

function cut(entry: OpenEntry, reason: string): void {
  entry.cutReason ??= reason
  entry.upstream?.destroy()
}
