// What is checked before any route, and the headers that every answer carries.
// Host and Origin are compared exactly: a name that merely resolves here (DNS rebinding) and a page from elsewhere get nothing.
import type { MiddlewareHandler } from 'hono'
import { AppError } from '../protocol/errors.ts'
import type { ApiEnv } from './route.ts'

/** `style-src` allows inline styles: the diff view sets them in its shadow roots. No inline script ever. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "font-src 'self'",
  "manifest-src 'self'",
  "worker-src 'self' blob:",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "form-action 'self'",
].join('; ')

export const SECURE_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=(), usb=()',
}

/** On every answer, also of errors. API answers are not kept by any cache unless they say so. */
export function secureHeaders(
  headers: Readonly<Record<string, string>>,
): MiddlewareHandler<ApiEnv> {
  const all = Object.entries(headers)
  return async (c, next) => {
    // Git's answers are written past the app, large files that an agent made among them.
    for (const [name, value] of [...all, NOT_KEPT]) c.env?.outgoing?.setHeader(name, value)
    await next()
    for (const [name, value] of all) c.res.headers.set(name, value)
    if (!c.res.headers.has(NOT_KEPT[0])) c.res.headers.set(...NOT_KEPT)
  }
}

const NOT_KEPT = ['cache-control', 'no-store'] as const

export function checkHost(hosts: readonly string[]): MiddlewareHandler<ApiEnv> {
  const allowed = new Set(hosts.map((host) => host.toLowerCase()))
  return async (c, next) => {
    const host = c.req.header('host')?.toLowerCase()
    if (host === undefined || !allowed.has(host)) {
      throw new AppError(
        'forbidden',
        'host_not_allowed',
        'this address is not answered here, name and port are compared: start Errand with ERRAND_PUBLIC_URL set to the address that people use',
      )
    }
    await next()
  }
}

const SAFE_METHODS = new Set(['GET', 'HEAD'])

/**
 * Runs after the caller is known. A bearer token is sent by no browser on its own, so it needs no Origin. Everything else
 * must come from one of `origins`; only reading may say nothing, and then a browser's Sec-Fetch-Site must not contradict.
 */
export function checkOrigin(origins: readonly string[]): MiddlewareHandler<ApiEnv> {
  const allowed = new Set(origins)
  return async (c, next) => {
    if (c.get('credential') !== 'bearer' && !isOwnRequest(c.req.raw, allowed)) {
      throw new AppError('forbidden', 'origin_not_allowed', 'this request comes from another page')
    }
    await next()
  }
}

function isOwnRequest({ method, headers }: Request, allowed: Set<string>): boolean {
  const origin = headers.get('origin')
  if (origin !== null) return allowed.has(origin)
  if (!SAFE_METHODS.has(method)) return false
  const site = headers.get('sec-fetch-site')
  return site === null || site === 'same-origin' || site === 'none'
}
