// Finds the processes of one installation, to kill them: by the settings file or folder in their command line, never by
// name alone, so that nothing of another installation is touched.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export type ProgramName = 'server' | 'gateway' | 'gitd' | 'sandboxd' | 'postgres'

export function runtimeDirOf(dataDir: string): string {
  return join('/run/errand', createHash('sha256').update(dataDir).digest('hex').slice(0, 8))
}

export function findProgram(dataDir: string, name: ProgramName): number {
  const runtimeDir = runtimeDirOf(dataDir)
  if (name === 'postgres') {
    return Number(readFileSync(join(dataDir, 'postgres/postmaster.pid'), 'utf8').split('\n')[0])
  }
  const settings = join(runtimeDir, 'settings', `${name}.json`)
  const [pid] = processes()
    .filter(({ args }) => args.includes(settings))
    .map((found) => found.pid)
  if (pid === undefined) throw new Error(`no ${name} runs`)
  return pid
}

/** Processes whose command line or environment names this installation or session. */
export function processesNaming(text: string): { pid: number; args: string[] }[] {
  return processes().filter(({ args }) => args.some((arg) => arg.includes(text)))
}

function processes(): { pid: number; args: string[] }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const args = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0')
        return [{ pid: Number(name), args }]
      } catch {
        return []
      }
    })
}
