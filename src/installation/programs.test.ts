import { once } from 'node:events'
import { mkdtemp, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createSilentLogger, type Logger } from '../lib/logger.ts'
import { type Program, type ProgramOptions, startProgram } from './programs.ts'

/** Says over a socket that it runs, and answers as every program does. */
const SCRIPT = `
import { connect } from 'node:net'
import { existsSync, readFileSync } from 'node:fs'
const { socket } = JSON.parse(readFileSync(process.argv[3], 'utf8'))
process.on('message', () => process.send({ pong: true }))
process.on('SIGTERM', () => process.exit(0))
const hangs = existsSync(process.argv[3] + '.hangs')
if (!hangs) process.send({ ready: process.pid })
connect(socket).write(String(process.pid))
`

let folder: string
let program: Program<number>
let settingsFile: string
let options: ProgramOptions
let node: string
let compileCache: string
const started: { next: () => void } = { next: () => undefined }
const pids: number[] = []
const server = createServer((socket) => {
  socket.on('error', () => undefined)
  socket.once('data', (data) => {
    pids.push(Number(data))
    started.next()
  })
})

const { promise: untilRefused, resolve: refused } = Promise.withResolvers<void>()
const silent = createSilentLogger()
const logger: Logger = {
  ...silent,
  error: (_about: unknown, said?: string) => {
    if (said === 'a program could not be started') refused()
  },
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-programs-'))
  const script = join(folder, 'program.mjs')
  settingsFile = join(folder, 'settings.json')
  node = join(folder, 'node')
  await symlink(process.execPath, node)
  const socket = join(folder, 'started.sock')
  server.listen(socket)
  await once(server, 'listening')
  await writeFile(script, SCRIPT)
  await writeFile(settingsFile, JSON.stringify({ socket }))
  compileCache = join(folder, 'compile-cache')
  options = {
    ...{ name: 'test', node, script, settingsFile, caFile: undefined },
    compileCache,
    account: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
    logger,
    watch: { everyMs: 100, mostMissed: 20 },
  }
  program = await startProgram<number>(options)
})
afterAll(async () => {
  await program?.stop()
  server.close()
  await rm(folder, { recursive: true, force: true })
})

async function untilStarted(count: number): Promise<void> {
  while (pids.length < count) {
    await new Promise<void>((resolve) => {
      started.next = resolve
    })
  }
}

it('starts a program again that was killed', async () => {
  await untilStarted(1)
  process.kill(program.ready, 'SIGKILL')
  await untilStarted(2)
  expect(program.pid()).toBe(pids[1])
})

it('kills a program that does not answer any more, and starts it again', async () => {
  await untilStarted(2)
  const frozen = pids.at(-1) ?? 0
  process.kill(frozen, 'SIGSTOP')
  await untilStarted(3)
  expect(pids.at(-1)).not.toBe(frozen)
  expect(() => process.kill(frozen, 0)).toThrow('ESRCH')
})

it('leaves the code that it compiled to the next start when it ends in order', async () => {
  await untilStarted(3)
  process.kill(program.pid() ?? 0, 'SIGTERM')
  await untilStarted(4)
  const kept = await readdir(compileCache, { recursive: true, withFileTypes: true })
  expect(kept.filter((entry) => entry.isFile())).not.toEqual([])
})

it('tries again when a program cannot be started at all', async () => {
  await untilStarted(4)
  const before = pids.length
  await rename(node, `${node}.away`)
  process.kill(pids.at(-1) ?? 0, 'SIGKILL')
  await untilRefused
  await rename(`${node}.away`, node)
  await untilStarted(before + 1)
  expect(program.pid()).toBe(pids.at(-1))
})

it('kills a program that was started again and never gets ready', async () => {
  const before = pids.length
  const other = await startProgram<number>({ ...options, readyLimitMs: 1_000 })
  try {
    await untilStarted(before + 1)
    await writeFile(`${settingsFile}.hangs`, '')
    process.kill(other.ready, 'SIGKILL')
    await untilStarted(before + 2)
    await rm(`${settingsFile}.hangs`)
    await untilStarted(before + 3)
    expect(() => process.kill(pids[before + 1] ?? 0, 0)).toThrow('ESRCH')
  } finally {
    await other.stop()
  }
})
