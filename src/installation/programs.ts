// Starts the programs of an installation as children and starts those again that end by themselves or do not answer.
// A program says that it is ready by an IPC message; its settings are in a file that only its user can read.
import { type ChildProcess, spawn } from 'node:child_process'
import { backoffMs } from '../lib/backoff.ts'
import { delay } from '../lib/deadline.ts'
import type { Logger } from '../lib/logger.ts'
import { AppError } from '../protocol/errors.ts'
import type { Account } from './ground.ts'

export interface ProgramOptions {
  name: string
  node: string
  /** The file that it runs. */
  script: string
  settingsFile: string
  account: Account
  /** Where Node.js keeps the code that it compiled for the next start, by paths relative to this folder; of the account alone. */
  compileCache: string
  /** Extra certificate authorities of the host, for Node.js itself. */
  caFile: string | undefined
  logger: Logger
  /** How often it is asked for a sign of life, and after how many that were missed it is killed. */
  watch?: { everyMs: number; mostMissed: number }
  /** How long one that is started again may take until it is ready; a minute unless told. */
  readyLimitMs?: number
}

export interface Program<Ready> {
  /** What it said when it was ready first. */
  ready: Ready
  pid(): number | undefined
  stop(): Promise<void>
}

interface ProgramMessage {
  ready?: unknown
  failed?: { code: AppError['code']; reason: string; message: string }
}

const RESTART = { firstMs: 100, mostMs: 5_000 }
/** Longer than any program keeps its event loop busy; one that hangs is noticed within a minute. */
const WATCH = { everyMs: 5_000, mostMissed: 9 }
const READY_LIMIT_MS = 60_000
const STOP_LIMIT_MS = 8_000
/** A program that ran this long has started well: the next restart is quick again. */
const SETTLED_MS = 30_000

/** Resolves when the program is ready for the first time; rejects with what it failed with before that. */
export async function startProgram<Ready>(options: ProgramOptions): Promise<Program<Ready>> {
  const stopping = new AbortController()
  let child = launch(options)
  const ready = (await untilReady(options, child)) as Ready
  watch(options, child)
  const supervise = async () => {
    for (let attempt = 0; ; attempt++) {
      const startedAt = Date.now()
      await ended(child)
      if (stopping.signal.aborted) return
      if (Date.now() - startedAt > SETTLED_MS) attempt = 0
      options.logger.error({ program: options.name }, 'a program ended and is started again')
      await delay(backoffMs(RESTART, attempt, Math.random()), stopping.signal).catch(
        () => undefined,
      )
      if (stopping.signal.aborted) return
      child = launch(options)
      watchAgain(options, child)
    }
  }
  const supervised = supervise()
  return {
    ready,
    pid: () => child.pid,
    stop: async () => {
      stopping.abort()
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_LIMIT_MS)
      await supervised
      clearTimeout(timer)
    },
  }
}

function launch(options: ProgramOptions): ChildProcess {
  const { node, script, settingsFile, account, compileCache, caFile } = options
  return spawn(node, [script, '--config', settingsFile], {
    uid: account.uid,
    gid: account.gid,
    cwd: '/',
    env: {
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      LANG: 'C.UTF-8',
      NODE_COMPILE_CACHE: compileCache,
      NODE_COMPILE_CACHE_PORTABLE: '1',
      ...(caFile ? { NODE_EXTRA_CA_CERTS: caFile } : {}),
    },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    // Ctrl-C in the terminal is for `up`, which ends the programs in order.
    detached: true,
  })
}

/** From its start on: what hangs before it is ready would hang for ever. What it says first is that it is ready. */
function watchAgain(options: ProgramOptions, child: ChildProcess): void {
  const { name, logger, readyLimitMs = READY_LIMIT_MS } = options
  const timer = setTimeout(() => {
    logger.error({ program: name }, 'a program was not ready in time and is killed')
    child.kill('SIGKILL')
  }, readyLimitMs)
  child.once('message', () => {
    clearTimeout(timer)
    watch(options, child)
  })
  child.once('exit', () => clearTimeout(timer))
  // As where the machine has no process or memory left: it is tried again, like one that has ended.
  child.on('error', (error) => {
    clearTimeout(timer)
    logger.error({ program: name, err: error }, 'a program could not be started')
  })
}

/** Kills a program that gives no sign of life any more: whoever supervises it starts it again. */
function watch({ name, logger, watch: pace = WATCH }: ProgramOptions, child: ChildProcess): void {
  let missed = 0
  child.on('message', () => {
    missed = 0
  })
  const timer = setInterval(() => {
    if (missed >= pace.mostMissed) {
      logger.error({ program: name }, 'a program does not answer and is killed')
      child.kill('SIGKILL')
      return
    }
    missed += 1
    // A channel that is closed already tells nothing new: the program ends.
    child.send({ ping: true }, () => undefined)
  }, pace.everyMs)
  child.once('exit', () => clearInterval(timer))
}

function untilReady({ name }: ProgramOptions, child: ChildProcess): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const fail = (reason: string, message: string) => {
      child.kill('SIGKILL')
      reject(new AppError('unavailable', reason, message))
    }
    const timer = setTimeout(
      () => fail('program_slow', `${name} was not ready after ${READY_LIMIT_MS / 1000} s.`),
      READY_LIMIT_MS,
    )
    child.once('message', (message: ProgramMessage) => {
      clearTimeout(timer)
      const { failed } = message
      if (failed) reject(new AppError(failed.code, failed.reason, failed.message))
      else resolve(message.ready)
    })
    child.once('error', (error) =>
      fail('program_start', `${name} could not be started: ${error.message}`),
    )
    child.once('exit', (code, signal) => {
      clearTimeout(timer)
      fail(
        'program_ended',
        `${name} ended with ${signal ?? code} before it was ready. Its log says why.`,
      )
    })
  })
}

/** One that could not be started has no number, and says no more than why. */
function ended(child: ChildProcess): Promise<void> {
  const isOver = child.exitCode !== null || child.signalCode !== null || child.pid === undefined
  if (isOver) return Promise.resolve()
  return new Promise((resolve) => child.once('exit', () => resolve()))
}
