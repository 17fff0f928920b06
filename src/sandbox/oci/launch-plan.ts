// How a plan travels to launch.pl.
import { join } from 'node:path'

export const LAUNCHER = join(import.meta.dirname, 'launch.pl')

/** Tools get nothing of sandboxd's own environment but where to find programs. */
export const TOOLS_ENV = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' }

export function encodePlan(plan: string[][]): string {
  return plan.map((fields) => `${fields.map(encodeURIComponent).join(' ')}\n`).join('')
}
