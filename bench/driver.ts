// From `create` to the output of the first command in a sandbox, one alone and 20 at once, against `srt`. The driver's part
// alone: sandboxd as a program of its own, a small Node.js program as process 1 where the runner would be.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { SANDBOX_PATHS } from '../src/protocol/network.ts'
import { createSandboxClient } from '../src/sandbox/client.ts'
import { newSpec } from '../src/sandbox/conformance/conformance-cases.ts'
import { GUEST_PROGRAM, openDoor } from '../src/sandbox/conformance/conformance-guest.ts'
import type { SandboxDriver } from '../src/sandbox/driver.ts'
import type { BenchContext, Benchmark } from './benchmark.ts'
import { compare, type Measure } from './compare.ts'
import { createFigure } from './figure.ts'
import { endChild, ROOT } from './installation.ts'

const AT_ONCE = 20
const SRT = join(ROOT, 'node_modules/.bin/srt')
const WORDS = 'first command'
const SRT_ATTEMPTS = 3

type MeasureMany = (count: number) => Promise<number>

export const driver: Benchmark = {
  name: 'driver',
  about: `create to first command's output, alone and ${AT_ONCE} at once, against srt`,
  run: async (context) => {
    const sandboxes = await createSandboxes(context)
    const srt = await createSrt(context)
    const take = async (name: string, count: number) => {
      const of =
        (measure: MeasureMany): Measure =>
        () =>
          measure(count)
      const [a, b] = await compare([of(sandboxes), of(srt)], {
        runs: context.runs,
        onRound: (round) => context.say(`${count} at once: round ${round + 1} of ${context.runs}`),
      })
      const other = { name: 'srt', samples: b }
      return createFigure({ name, unit: 'ms', ours: a, benchmark: 'driver', other })
    }
    return [await take('driver', 1), await take(`driver-${AT_ONCE}`, AT_ONCE)]
  },
}

/** Resolves with the time until the last of them has said its words. */
async function createSandboxes(context: BenchContext): Promise<MeasureMany> {
  const { driver: sandboxd, doorsDir } = await startSandboxd(context)
  return async (count) => {
    const specs = Array.from({ length: count }, () => newSpec())
    const guests = await Promise.all(specs.map(({ sessionId }) => openDoor(doorsDir, sessionId)))
    const startedAt = performance.now()
    await Promise.all(
      specs.map(async (spec, index) => {
        await sandboxd.create(spec)
        await sandboxd.start(spec.sessionId)
        const said = await guests[index]?.sh(`echo ${WORDS}`)
        if (said?.stdout !== `${WORDS}\n`) throw new Error(`it said: ${said?.stdout}`)
      }),
    )
    const durationMs = performance.now() - startedAt
    await Promise.all(guests.map((guest) => guest.close()))
    await Promise.all(specs.map(({ sessionId }) => sandboxd.remove(sessionId)))
    return durationMs
  }
}

async function startSandboxd(
  context: BenchContext,
): Promise<{ driver: SandboxDriver; doorsDir: string }> {
  const { folder, shutdown } = context
  const runtimeDir = await mkdtemp('/run/errand-bench-')
  shutdown.add('runtime folder', () => rm(runtimeDir, { recursive: true, force: true }))
  const programs = join(folder, 'programs')
  await mkdir(programs)
  const config = {
    dataDir: join(folder, 'sandboxd'),
    runtimeDir,
    doorsDir: join(runtimeDir, 'doors'),
    programs: {
      node: process.execPath,
      runner: join(programs, 'runner'),
      agent: join(programs, 'agent'),
    },
    socketPath: join(runtimeDir, 'sandboxd/sandboxd.sock'),
    logLevel: 'error',
  }
  await mkdir(config.programs.runner)
  await writeFile(join(config.programs.runner, basename(SANDBOX_PATHS.runner)), GUEST_PROGRAM)
  await writeFile(config.programs.agent, '#!/bin/sh\n', { mode: 0o755 })
  const settings = join(folder, 'sandboxd.json')
  await writeFile(settings, JSON.stringify(config))
  const main = join(ROOT, 'dist/programs/sandboxd.mjs')
  const args = ['--mount', process.execPath, main, '--config', settings]
  const child = spawn('/usr/bin/unshare', args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  shutdown.add('sandboxd', () => endChild(child))
  await untilReady(child)
  const client = createSandboxClient({ socketPath: config.socketPath, kind: 'oci' })
  shutdown.add('sandboxes', async () => {
    const left = await client.list()
    await Promise.all(left.map(({ sessionId }) => client.remove(sessionId)))
  })
  return { driver: client, doorsDir: config.doorsDir }
}

function untilReady(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('message', (message: { failed?: { message: string } }) => {
      if (message.failed) reject(new Error(message.failed.message))
      else resolve()
    })
    child.once('exit', (code) => reject(new Error(`sandboxd ended with ${code}`)))
  })
}

/** `srt` with its own defaults: no network, no writing outside of the folder. */
async function createSrt({ folder, say }: BenchContext): Promise<MeasureMany> {
  if (!existsSync(SRT))
    throw new Error('the package @anthropic-ai/sandbox-runtime is not installed')
  const home = join(folder, 'srt-home')
  await mkdir(home)
  const runOne = () =>
    new Promise<void>((resolve, reject) => {
      const child = spawn(process.execPath, [SRT, 'echo', WORDS], {
        cwd: home,
        env: { PATH: process.env.PATH, HOME: home },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      let output = ''
      const take = (chunk: Buffer) => {
        output += chunk.toString()
      }
      child.stdout.on('data', take)
      child.stderr.on('data', take)
      child.once('error', reject)
      child.stdout.once('data', () => saidAt.push(performance.now()))
      child.once('close', () => {
        if (output === `${WORDS}\n`) resolve()
        else reject(new Error(`srt said: ${output}`))
      })
    })
  let saidAt: number[] = []
  return async (count) => {
    // With many at once its own look for a shell may run into a limit: such a round is done again.
    for (let attempt = 1; ; attempt++) {
      saidAt = []
      const startedAt = performance.now()
      const ended = await Promise.allSettled(Array.from({ length: count }, runOne))
      const failed = ended.find((end) => end.status === 'rejected')
      if (!failed) return Math.max(...saidAt) - startedAt
      if (attempt === SRT_ATTEMPTS) throw failed.reason
      say(`srt failed and runs again: ${String(failed.reason).split('\n')[0]}`)
    }
  }
}
