// Names to addresses for connections that leave: /etc/hosts, then DNS by c-ares. Not getaddrinfo: that one blocks threads of
// the pool (a session could starve the others with slow names) and tries search domains. Every call asks anew: no cache.
import { Resolver } from 'node:dns/promises'
import { readFile } from 'node:fs/promises'
import { DeadlineError, delay, withDeadline } from '../../lib/deadline.ts'
import { AppError } from '../../protocol/errors.ts'

/** All addresses of a name, best first. Rejects with AppError `dns_failed` or `dns_timeout`. */
export type Resolve = (name: string, signal: AbortSignal) => Promise<string[]>

/** Looks one name up without a limit of its own; rejects or answers with nothing when there is none. */
export type Lookup = (name: string, signal: AbortSignal) => Promise<string[]>

export interface ResolveOptions {
  lookup?: Lookup
  limitMs?: number
}

/** How long the second address family may lag behind the first. */
const FAMILY_LAG_MS = 150
const DNS_LIMIT_MS = 6_000
const MAX_ADDRESSES = 16

export function createResolve(options: ResolveOptions = {}): Resolve {
  const { lookup = createSystemLookup(), limitMs = DNS_LIMIT_MS } = options
  return async (name, signal) => {
    const addresses = await withDeadline(
      `looking up ${name}`,
      limitMs,
      (limit) => lookup(name, limit),
      signal,
    ).catch((error: unknown) => {
      throw dnsError(name, error)
    })
    if (addresses.length === 0) throw dnsError(name, undefined)
    return addresses.slice(0, MAX_ADDRESSES)
  }
}

function createSystemLookup(hostsPath = '/etc/hosts'): Lookup {
  return async (name, signal) => {
    const fixed = parseHostsFile(await readFile(hostsPath, 'utf8').catch(() => ''), name)
    return fixed.length > 0 ? fixed : queryDns(name, signal)
  }
}

/** The addresses that a hosts file gives for a name. */
export function parseHostsFile(text: string, name: string): string[] {
  return text.split('\n').flatMap((line) => {
    const [address, ...names] = (line.split('#')[0] ?? '').trim().split(/\s+/)
    return address && names.some((entry) => entry.toLowerCase() === name) ? [address] : []
  })
}

/** IPv4 first: hosts with a broken IPv6 route are common, and connect.ts tries the others soon after. */
async function queryDns(name: string, signal: AbortSignal): Promise<string[]> {
  const resolver = new Resolver({ timeout: 2_000, tries: 2 })
  const cancel = () => resolver.cancel()
  signal.addEventListener('abort', cancel, { once: true })
  try {
    const v4 = resolver.resolve4(name)
    const v6 = resolver.resolve6(name)
    const lagging = async (family: Promise<string[]>, other: Promise<string[]>) => {
      await other
      await delay(FAMILY_LAG_MS)
      return Promise.race([family, Promise.resolve<string[]>([])])
    }
    const settle = (family: Promise<string[]>, other: Promise<string[]>) =>
      Promise.race([family, lagging(family, other).catch(() => family)])
    const [first, second] = await Promise.allSettled([settle(v4, v6), settle(v6, v4)])
    const found = [first, second].flatMap((one) => (one.status === 'fulfilled' ? one.value : []))
    if (found.length === 0 && first.status === 'rejected') throw first.reason
    return found
  } finally {
    signal.removeEventListener('abort', cancel)
    resolver.cancel()
  }
}

function dnsError(name: string, error: unknown): AppError {
  const code = (error as NodeJS.ErrnoException | undefined)?.code
  if (error instanceof DeadlineError || code === 'ETIMEOUT') {
    return new AppError('timeout', 'dns_timeout', `looking up ${name} took too long`, {
      cause: error,
    })
  }
  return new AppError('unavailable', 'dns_failed', `${name} could not be resolved`, {
    cause: error,
  })
}
