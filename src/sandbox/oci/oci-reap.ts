// Ends a sandbox and takes away everything that it holds outside of its folder: processes, container state, control
// groups, mounts, loop device. Works from any state in between, also when an earlier sandboxd died half-way.
import { readdir, readFile, rm } from 'node:fs/promises'
import { constants } from 'node:os'
import { DeadlineError, delay, withDeadline } from '../../lib/deadline.ts'
import { killGroup, runProcess } from '../../lib/process.ts'
import { describeProcess, isAlive, type ProcessIdentity } from '../../lib/process-identity.ts'
import type { SandboxExit } from '../driver.ts'
import { exists, orWhenMissing, readIfThere, writeWhole } from '../files.ts'
import { removeCgroups, thaw } from './cgroups.ts'
import { runtimeStateFolder, type SandboxPaths } from './oci-paths.ts'
import { readRun } from './oci-record.ts'
import type { Rights } from './oci-rights.ts'

export interface ReapContext {
  paths: SandboxPaths
  rights: Rights
  runtime: string
  runtimeDir: string
  /** How long the runtime may take to forget the container; ten seconds unless told. */
  runtimeLimitMs?: number
}

const POLL_MS = 5
/** After SIGKILL: how long the kernel may take to end everything. */
const KILL_LIMIT_MS = 3000
const EXIT_FILE_LIMIT_MS = 500
const UNMOUNT_LIMIT_MS = 3000
const RUNTIME_LIMIT_MS = 10_000

/** Sends SIGTERM to process 1 and gives it `graceMs` to end. */
export async function askToEnd(paths: SandboxPaths, graceMs: number): Promise<void> {
  const run = await readRun(paths)
  if (!run || !(await isAlive(run))) return
  await thaw(paths.sessionId)
  signalProcess(run.pid, 'SIGTERM')
  await waitFor(graceMs, async () => !(await isAlive(run)))
}

/** Afterwards nothing of the sandbox runs or is mounted; how it ended is written down when it can be known. */
export async function reap(context: ReapContext): Promise<void> {
  const { paths, rights, runtime } = context
  if (!(await mayHoldAnything(paths))) return
  await thaw(paths.sessionId)
  await killContainer(paths)
  await endHolders(paths, runtime)
  await noteExit(paths)
  if (await readIfThere(`${paths.runtimeState}/state.json`)) await forgetContainer(context)
  await rm(paths.runtimeState, { recursive: true, force: true })
  await removeCgroups(paths.sessionId)
  await rights.settle(paths, UNMOUNT_LIMIT_MS)
  await rm(paths.bundle, { recursive: true, force: true })
}

/** As on a disk that is full it may stay unknown: what takes the sandbox away, and so makes room, goes on. */
async function noteExit(paths: SandboxPaths): Promise<void> {
  const exit = await observeExit(paths)
  if (exit) await writeWhole(paths.lastExit, JSON.stringify(exit)).catch(() => undefined)
}

/** By the runtime. What one that hangs, or that cannot, leaves of it is taken away by who asks. */
async function forgetContainer(context: ReapContext): Promise<void> {
  const { paths, rights, runtime, runtimeDir, runtimeLimitMs = RUNTIME_LIMIT_MS } = context
  const options = ['--root', runtimeStateFolder(runtimeDir), ...rights.runtimeOptions]
  const args = [...options, 'delete', '--force', paths.sessionId]
  try {
    await withDeadline('the deletion of a container', runtimeLimitMs, (signal) =>
      runProcess(runtime, args, { env: rights.env, signal }),
    )
  } catch (error) {
    if (!(error instanceof DeadlineError)) throw error
  }
}

/** The bundle is made before everything else and taken away last. */
async function mayHoldAnything(paths: SandboxPaths): Promise<boolean> {
  if ((await exists(paths.bundle)) || (await exists(paths.runtimeState))) return true
  const run = await readRun(paths)
  return run !== undefined && (await isAlive(run))
}

/**
 * How the runner ended, from what launch.pl wrote; undefined while it runs or when nobody saw it.
 * Process 1 is a shell that ends as the runner did: above 128 its code names the signal.
 */
export async function observeExit(paths: SandboxPaths): Promise<SandboxExit | undefined> {
  const text = (await readIfThere(paths.exitFile)) ?? ''
  const [, status, memoryKills] = /^(\d+) \d+ (\d+)$/m.exec(text) ?? []
  if (status === undefined) return undefined
  const code = Number(status) >> 8
  const number = Number(status) & 127 || Math.max(0, code - 128)
  if (number === 0) return { code, outOfMemory: false }
  const signal = Object.entries(constants.signals).find(([, value]) => value === number)?.[0]
  const killed = number === constants.signals.SIGKILL
  const outOfMemory = killed && Number(memoryKills) > 0
  const overDisk = killed && (await exists(paths.overDisk)) ? { outOfDisk: true } : {}
  return { signal: signal ?? String(number), outOfMemory, ...overDisk }
}

/** Process 1 takes everything in its process namespace along, whatever state that is in. */
async function killContainer(paths: SandboxPaths): Promise<void> {
  const run = await readRun(paths)
  if (run && (await isAlive(run))) await killAndWait(run)
  const pid = Number((await readIfThere(paths.pidFile)) ?? '')
  if (pid > 0 && pid !== run?.pid && (await isContainerProcess(pid, paths.sessionId)))
    await killAndWait(await describeProcess(pid))
}

async function killAndWait(run: ProcessIdentity): Promise<void> {
  signalProcess(run.pid, 'SIGKILL')
  await waitFor(KILL_LIMIT_MS, async () => !(await isAlive(run)))
}

/** A process id from a file may belong to another program by now; the sandbox's names its session in group or mounts. */
async function isContainerProcess(pid: number, sessionId: string): Promise<boolean> {
  const texts = await Promise.all(
    ['cgroup', 'mountinfo'].map((name) =>
      orWhenMissing('', readFile(`/proc/${pid}/${name}`, 'utf8')),
    ),
  )
  return texts.some((text) => text.includes(sessionId))
}

/** A holder ends by itself with its container, and writes down how that ended; one that is still at work is killed. */
async function endHolders(paths: SandboxPaths, runtime: string): Promise<void> {
  const waitMs = (await exists(paths.pidFile)) ? EXIT_FILE_LIMIT_MS : 0
  await waitFor(waitMs, () => exists(paths.exitFile))
  for (const pid of await findHolders(paths.sessionId, runtime)) {
    // The holder leads a group of its own, with whatever it has called and waits for: mount, the runtime, a script around it.
    killGroup(pid)
    signalProcess(pid, 'SIGKILL')
  }
}

/** launch.pl and the runtime that it may have called. */
async function findHolders(sessionId: string, runtime: string): Promise<number[]> {
  const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0)
  const matches = await Promise.all(
    pids.map(async (pid) => {
      const text = await orWhenMissing('', readFile(`/proc/${pid}/cmdline`, 'utf8'))
      const [program, first, ...rest] = text.split('\0').slice(0, -1)
      if (program === 'perl') return first?.endsWith('/launch.pl') && rest[0] === sessionId
      return program === runtime && rest.at(-1) === sessionId
    }),
  )
  return pids.filter((_, index) => matches[index])
}

async function waitFor(limitMs: number, isDone: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + limitMs
  while (!(await isDone()) && performance.now() < end) await delay(POLL_MS)
}

function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
