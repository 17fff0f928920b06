// How launch.pl is called, and how a plan travels to it.
import { join } from 'node:path'

const LAUNCHER = join(import.meta.dirname, 'launch.pl')

/** For perl. By `what` the process is found again. */
export function launcherArgs(what: string): string[] {
  return [LAUNCHER, what, process.arch]
}

/** Tools get nothing of sandboxd's own environment but where to find programs. */
export const TOOLS_ENV = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' }

export function encodePlan(plan: string[][]): string {
  return plan.map((fields) => `${fields.map(encodeURIComponent).join(' ')}\n`).join('')
}
