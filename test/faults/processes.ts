// Finds the processes of one installation, to kill them: by the settings file or folder in their command line, never by
// name alone, so that nothing of another installation is touched.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { readConfig } from '../../src/config.ts'
import { SANDBOX_PATHS } from '../../src/protocol/network.ts'

export const PROGRAMS = ['server', 'gateway', 'gitd', 'sandboxd', 'postgres'] as const
export type ProgramName = (typeof PROGRAMS)[number]
export const INSIDE = ['runner', 'agent', 'container'] as const
export type InsideName = (typeof INSIDE)[number]

export function runtimeDirOf(dataDir: string): string {
  return readConfig({ dataDir }).runtimeDir
}

/** Throws while it is not running. */
export function findProgram(dataDir: string, name: ProgramName): number {
  if (name === 'postgres') {
    return Number(readFileSync(join(dataDir, 'postgres/postmaster.pid'), 'utf8').split('\n')[0])
  }
  const settings = join(runtimeDirOf(dataDir), 'settings', `${name}.json`)
  const [pid] = processes()
    .filter(({ args }) => args.includes(settings))
    .map((found) => found.pid)
  if (pid === undefined) throw new Error(`no ${name} runs`)
  return pid
}

/**
 * Of one session's sandbox, as this machine sees them: process 1, the runner, and the agent, wherever below it they are.
 * Throws while it is not running: its number may be that of any other process then.
 */
export function findInside(dataDir: string, sessionId: string, name: InsideName): number {
  const run = readFileSync(join(dataDir, 'sandboxes', sessionId, 'run.json'), 'utf8')
  const { pid: container } = JSON.parse(run)
  const about = ['cgroup', 'mountinfo'].map((file) => `/proc/${container}/${file}`)
  if (!about.some((path) => readFileSync(path, 'utf8').includes(sessionId)))
    throw new Error(`the sandbox of ${sessionId} has ended`)
  if (name === 'container') return container
  const program = name === 'runner' ? SANDBOX_PATHS.node : SANDBOX_PATHS.agent
  const found = findBelow(container, program)
  if (found === undefined) throw new Error(`no ${program} runs below ${container}`)
  return found
}

/** Of PostgreSQL they do the work: each connection has one, and the first process only starts them. */
export function childrenOf(parent: number): number[] {
  const children = readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8').trim()
  return children === '' ? [] : children.split(' ').map(Number)
}

/** The nearest. */
function findBelow(parent: number, program: string): number | undefined {
  const children = childrenOf(parent)
  const found = children.find((pid) => argsOf(String(pid))[0] === program)
  return found ?? children.map((pid) => findBelow(pid, program)).find((pid) => pid !== undefined)
}

/** The command lines of all processes in a sandbox. */
export function commandsInside(dataDir: string, sessionId: string): string[] {
  const namespace = readlinkSync(`/proc/${findInside(dataDir, sessionId, 'container')}/ns/pid`)
  return pids()
    .filter((pid) => namespaceOf(pid) === namespace)
    .map((pid) => argsOf(pid).join(' '))
}

function namespaceOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`)
  } catch {
    return undefined
  }
}

function argsOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1)
  } catch {
    return []
  }
}

const pids = () => readdirSync('/proc').filter((name) => /^\d+$/.test(name))

function processes(): { pid: number; args: string[] }[] {
  return pids().map((pid) => ({ pid: Number(pid), args: argsOf(pid) }))
}
