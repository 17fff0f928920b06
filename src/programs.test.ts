import { once } from 'node:events'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createSilentLogger } from './lib/logger.ts'
import { type Program, startProgram } from './programs.ts'

/** Says over a socket that it runs, and answers as every program does. */
const SCRIPT = `
import { connect } from 'node:net'
import { readFileSync } from 'node:fs'
const { socket } = JSON.parse(readFileSync(process.argv[3], 'utf8'))
process.on('message', () => process.send({ pong: true }))
process.on('SIGTERM', () => process.exit(0))
process.send({ ready: process.pid })
connect(socket).write(String(process.pid))
`

let folder: string
let program: Program<number>
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

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-programs-'))
  const [script, settingsFile] = [join(folder, 'program.mjs'), join(folder, 'settings.json')]
  const socket = join(folder, 'started.sock')
  server.listen(socket)
  await once(server, 'listening')
  await writeFile(script, SCRIPT)
  await writeFile(settingsFile, JSON.stringify({ socket }))
  compileCache = join(folder, 'compile-cache')
  program = await startProgram<number>({
    ...{ name: 'test', node: process.execPath, script, settingsFile, caFile: undefined },
    compileCache,
    account: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
    logger: createSilentLogger(),
    watch: { everyMs: 100, mostMissed: 20 },
  })
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
