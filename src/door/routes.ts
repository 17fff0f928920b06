// Which way a request takes that came in through a session's socket. Pure. A request for the door's own name is the door's,
// however it is written (origin form, absolute form through a proxy variable, CONNECT); any other absolute form is egress.
import { DOOR_HOST } from '../protocol/network.ts'
import { RUNNER_UPGRADE, SETUP_INPUTS_PATH } from '../protocol/runner-frames.ts'

export type Route =
  | { kind: 'egress' }
  | { kind: 'runner' | 'git' | 'model' | 'reach' | 'setup'; path: string }
  | { kind: 'none' }

const NONE: Route = { kind: 'none' }
const DOOR_URL = new RegExp(`^http://${DOOR_HOST.replaceAll('.', '\\.')}(?::80)?(?=[/?]|$)`, 'i')

export function routeOf(url: string): Route {
  const path = doorPath(url)
  if (path === null) return { kind: 'egress' }
  if (!isPlainPath(path)) return NONE
  const [pathname = ''] = path.split('?', 1)
  if (pathname === '/runner') return { kind: 'runner', path }
  if (pathname === '/reach') return { kind: 'reach', path }
  if (pathname.startsWith('/git/')) return { kind: 'git', path }
  if (pathname === '/model' || pathname.startsWith('/model/')) return { kind: 'model', path }
  if (pathname === SETUP_INPUTS_PATH) return { kind: 'setup', path }
  return NONE
}

/** `CONNECT` to the door's own name: the bytes that follow are requests to the door. */
export function isDoorTunnel(authority: string): boolean {
  return authority.toLowerCase() === `${DOOR_HOST}:80`
}

export function isRunnerUpgrade(
  method: string,
  route: Route,
  upgrade: string | undefined,
): boolean {
  return method === 'GET' && route.kind === 'runner' && upgrade?.toLowerCase() === RUNNER_UPGRADE
}

/** Path and query of a request to the door; null when it is for another host. */
function doorPath(url: string): string | null {
  if (url.startsWith('/')) return url
  const match = DOOR_URL.exec(url)
  if (!match) return null
  const rest = url.slice(match[0].length)
  return rest.startsWith('/') ? rest : `/${rest}`
}

/**
 * No detour that a route could read differently: no `..`, backslash, double slash or encoded form of them in the path. But for
 * the slashes in a model's ARN, which the model door takes for a part of its name.
 */
function isPlainPath(path: string): boolean {
  const [pathname = ''] = path.split('?', 1)
  if (/\/\/|\\|%2e|%5c|%00/i.test(pathname)) return false
  if (/%2f/i.test(pathname) && !pathname.startsWith('/model/bedrock/model/')) return false
  return !pathname.split('/').some((part) => part === '.' || part === '..')
}
