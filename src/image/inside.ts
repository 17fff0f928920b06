// Runs the steps of a build: programs of the image, as root, in namespaces of their own below its root, with the machine's
// network. They end with this program, however it ends. Not a boundary: only for definitions that belong to Errand.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { createLineSplitter } from '../lib/ndjson.ts'
import { lastLines } from '../lib/process.ts'
import { AppError } from '../protocol/errors.ts'

export interface StepRun {
  log: string
  env: Record<string, string>
  signal: AbortSignal
  onLine(line: string): void
}

const NAMESPACES = [
  'unshare',
  '--mount',
  '--propagation',
  'private',
  '--pid',
  '--fork',
  '--kill-child',
]
/** Arguments: the root, the folder that is shown at /run/build, the cache of apt, then the command. */
const ENTER = `set -e
root=$1 build=$2 archives=$3; shift 3
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mkdir "$root/run/build" "$root/run/lock"
mount --bind "$build" "$root/run/build"
mount --bind "$archives" "$root/var/cache/apt/archives"
[ -e "$root/etc/resolv.conf" ] || : >"$root/etc/resolv.conf"
mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
exec chroot "$root" "$@"`
const LONGEST_LINE = 1 << 20

export interface BuildPlaces {
  root: string
  /** Scripts, authorities and records of the build. */
  build: string
  archives: string
}

export function runInside(places: BuildPlaces, command: string[], run: StepRun): Promise<void> {
  const { root, build, archives } = places
  return runStep(
    [...NAMESPACES, 'sh', '-c', ENTER, 'enter', root, build, archives, ...command],
    run,
  )
}

/** Ends with the program, and all that it started with it. */
export function runOutside(command: string[], run: StepRun): Promise<void> {
  return runStep([...NAMESPACES, '--mount-proc', ...command], run)
}

async function runStep(command: string[], { log, env, signal, onLine }: StepRun): Promise<void> {
  signal.throwIfAborted()
  // A disk that is full ends the step with words of its own; that they cannot be kept is no end of this program.
  const file = createWriteStream(log).on('error', () => undefined)
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...command], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const stop = () => child.kill('SIGKILL')
  signal.addEventListener('abort', stop, { once: true })
  let last = ''
  for (const stream of [child.stdout, child.stderr]) {
    const split = createLineSplitter(LONGEST_LINE)
    stream.on('data', (chunk: Buffer) => {
      file.write(chunk)
      last = (last + chunk.toString()).slice(-4_000)
      for (const line of split(chunk)) if (line.trim() !== '') onLine(line)
    })
  }
  try {
    const [code] = await once(child, 'close')
    signal.throwIfAborted()
    if (code === 0) return
    const message = `The step ended with ${code}. Its last lines:\n${lastLines(last, 12)}\nAll of them are in ${log}. The same command goes on at this step.`
    throw new AppError('unavailable', 'image_step_failed', message)
  } finally {
    signal.removeEventListener('abort', stop)
    file.end()
  }
}
