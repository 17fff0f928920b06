// The one Errand that runs on a data folder: claimed by whoever starts it, found by the command line, stopped by it.
import { readFileSync } from 'node:fs'
import { link, mkdir, readdir, readFile, rename, rm, rmdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CLAIM_FILE, type Config } from '../config.ts'
import { delay } from '../lib/deadline.ts'
import { AppError } from '../protocol/errors.ts'
import { writeWhole } from '../sandbox/files.ts'
import type { Instance } from '../settings.ts'
import { putWhole } from './put-whole.ts'

const POLL_MS = 50
/** Longer than all programs together may take to end in order. */
const STOP_LIMIT_MS = 60_000
/** Longer than one program may take to end in order. */
const LETTING_GO_LIMIT_MS = 10_000

/** Rejects when another Errand runs, or starts, on this data folder. */
export async function claimInstance({ runtimeDir }: Config) {
  await mkdir(runtimeDir, { recursive: true, mode: 0o711 })
  const { claim, instance } = filesOf(runtimeDir)
  let followsKilled = false
  for (;;) {
    try {
      // An empty claim would be nobody's, and taken over.
      await putWhole(claim, String(process.pid))
      break
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      const found = await readClaim(runtimeDir)
      await refuseWhenRunning(runtimeDir, found)
      followsKilled = (await takeAway(claim, found)) || followsKilled
    }
  }
  return {
    /** The last Errand here did not end in order: its programs may be ending just now. */
    followsKilled,
    ready: (value: Instance) => writeWhole(instance, JSON.stringify(value), 0o644),
    retract: () => rm(instance, { force: true }),
    /** The folder goes as well, unless running sandboxes need something in it. */
    release: async () => {
      await rm(claim, { force: true })
      await rmdir(runtimeDir).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOTEMPTY') throw error
      })
    },
  }
}

/** The running installation of this data folder, if there is one that is ready. */
export async function findInstance({
  runtimeDir,
  dataDir,
}: Config): Promise<(Instance & { token: string }) | undefined> {
  try {
    const file = filesOf(runtimeDir).instance
    const text = await readFile(file, 'utf8')
    // In a folder for temporary files anybody could say where Errand is, and would be sent the token.
    if ((await stat(file)).uid !== process.getuid?.()) throw otherUsers()
    const instance: Instance = JSON.parse(text)
    if (!(await isErrand(instance.pid))) return undefined
    return { ...instance, token: await readFile(join(dataDir, 'cli-token'), 'utf8') }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return undefined
    if (code === 'EACCES' || code === 'EPERM') throw otherUsers()
    throw error
  }
}

/** Where a program of this machine reaches it; nothing before it, such as a proxy at its public address, has to be there. */
export function listenerUrl({ host, port }: Pick<Config, 'host' | 'port'>): string {
  const all: Record<string, string> = { '0.0.0.0': '127.0.0.1', '::': '::1' }
  const address = all[host] ?? host
  return `http://${address.includes(':') ? `[${address}]` : address}:${port}`
}

function otherUsers(): AppError {
  const message =
    'Errand runs as another user here. Set ERRAND_URL and ERRAND_TOKEN, or use that user.'
  return new AppError('forbidden', 'other_users_instance', message)
}

/** Resolves when everything of it has ended, with its process id; undefined when none runs. Sandboxes go on. */
export async function stopInstance(
  { runtimeDir }: Config,
  limitMs = STOP_LIMIT_MS,
): Promise<number | undefined> {
  const pid = await claimedBy(await readClaim(runtimeDir))
  if (pid === undefined) return undefined
  process.kill(pid, 'SIGTERM')
  const endAt = Date.now() + limitMs
  while (await isErrand(pid)) {
    if (Date.now() > endAt) throw stillStopping(pid, limitMs)
    await delay(POLL_MS)
  }
  return pid
}

/** As one that was told so while its database still replays its log: it ends once it is there. */
function stillStopping(pid: number, limitMs: number): AppError {
  const message = `Errand (process ${pid}) was told to end and has not within ${limitMs / 1000} s. It ends once it can; its log says what it does.`
  return new AppError('timeout', 'still_stopping', message)
}

/** After an Errand here was killed: resolves when its server, which ends by itself, has let go of the port. */
export async function untilServerEnded({ runtimeDir }: Config): Promise<void> {
  const settings = join(runtimeDir, 'settings/server.json')
  const endAt = Date.now() + LETTING_GO_LIMIT_MS
  while (Date.now() < endAt && (await isNamedByProcess(settings))) await delay(POLL_MS)
}

async function isNamedByProcess(argument: string): Promise<boolean> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const commands = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  )
  return commands.some((command) => command.split('\0').includes(argument))
}

export function versionOf({ codeDir }: Pick<Config, 'codeDir'>): string {
  return JSON.parse(readFileSync(join(codeDir, 'package.json'), 'utf8')).version
}

function filesOf(runtimeDir: string) {
  return { claim: join(runtimeDir, CLAIM_FILE), instance: join(runtimeDir, 'instance.json') }
}

/** Empty where there is none. */
function readClaim(runtimeDir: string): Promise<string> {
  return readFile(filesOf(runtimeDir).claim, 'utf8').catch(() => '')
}

async function claimedBy(text: string): Promise<number | undefined> {
  const pid = Number(text)
  return pid !== process.pid && (await isErrand(pid)) ? pid : undefined
}

/** False when another one has taken over since the claim was read: its own stays. */
async function takeAway(claim: string, read: string): Promise<boolean> {
  const moved = `${claim}.${process.pid}`
  try {
    await rename(claim, moved)
    if ((await readFile(moved, 'utf8')) === read) return true
    await link(moved, claim)
    return false
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT' && code !== 'EEXIST') throw error
    return false
  } finally {
    await rm(moved, { force: true })
  }
}

async function refuseWhenRunning(runtimeDir: string, claim: string): Promise<void> {
  const pid = await claimedBy(claim)
  if (pid === undefined) return
  const text = await readFile(filesOf(runtimeDir).instance, 'utf8').catch(() => undefined)
  const [doing, where] = text ? ['runs', `, at ${JSON.parse(text).url}`] : ['starts', '']
  const message = `Errand ${doing} already on this data folder${where} (process ${pid}). errand down stops it.`
  throw new AppError('conflict', text ? 'already_running' : 'already_starting', message)
}

/** Numbers of processes come again; an ended process that nobody has waited for has no command line. */
async function isErrand(pid: number): Promise<boolean> {
  if (!Number.isInteger(pid) || pid < 2) return false
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return /\/src\/main\.[jt]s\0(up|backup|restore)\0/.test(command)
}
