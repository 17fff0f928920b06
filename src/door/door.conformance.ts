// Doors on real unix sockets: routing, caps, slow and hostile clients, and a listener that comes back.
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { type AddressInfo, connect as connectTcp, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it, onTestFinished } from 'vitest'
import { createForwardProxy } from '../egress/proxy/forward-proxy.ts'
import { compileRules } from '../egress/rules/policy.ts'
import { createSilentLogger } from '../lib/logger.ts'
import { createModelDoor, type ModelProblem } from '../model/pass-through.ts'
import { AppError } from '../protocol/errors.ts'
import { RUNNER_PROTOCOL } from '../protocol/runner-frames.ts'
import type { DoorRoute } from './call-route.ts'
import { createDoors } from './doors.ts'
import type { DoorLimits } from './listener.ts'

const ID = 's_aaaaaaaaaaaaaaaaaaaa'
const OTHER = 's_bbbbbbbbbbbbbbbbbbbb'
const ending: (() => Promise<unknown>)[] = []

afterEach(async () => {
  for (const end of ending.splice(0).reverse()) await end()
})

interface Options {
  limits?: Partial<DoorLimits>
  git?: DoorRoute
  model?: DoorRoute
}

const say =
  (word: string): DoorRoute =>
  ({ sessionId, path, response }) =>
    void response.end(`${word} ${sessionId} ${path}`)

async function setUp(options: Options = {}) {
  const doorsDir = await mkdtemp(join(tmpdir(), 'errand-doors-'))
  ending.push(() => rm(doorsDir, { recursive: true }))
  const upstream = createServer((_, response) => response.end('from outside'))
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', () => resolve()))
  ending.push(async () => upstream.close())
  const dialled: string[] = []
  const full = { level: 'full' as const, domains: [], includeTrusted: false }
  const rules = compileRules(full, { registries: [], allowedNetworks: [] })
  const egress = createForwardProxy({
    policyFor: () => rules,
    dial: async ({ host, port }) => {
      if (host.kind !== 'name') throw new AppError('forbidden', 'address_not_allowed', 'no')
      dialled.push(`${host.name}:${port}`)
      const socket = connectTcp((upstream.address() as AddressInfo).port, '127.0.0.1')
      await new Promise((resolve) => socket.once('connect', resolve))
      return socket
    },
    onDecision: () => undefined,
  })
  const doors = createDoors({
    doorsDir,
    routes: {
      egress,
      git: options.git ?? say('git'),
      model: options.model ?? say('model'),
      reach: say('reach'),
      setup: say('setup'),
    },
    runnerEvents: () => ({
      onHello: async () => ({
        generation: 1,
        ackedN: 0,
        assignment: {
          kind: 'work' as const,
          repository: { name: 'r', url: '', commit: 'c0ffee', branch: 'b', baseBranch: null },
          identity: { name: 'Errand', email: 'errand@example.com' },
          sessionUrl: null,
        },
      }),
      onParked: () => undefined,
      onConnected: () => undefined,
      onReport: async () => undefined,
      onDelta: () => undefined,
      onDisconnected: () => undefined,
    }),
    ...(options.limits ? { limits: options.limits } : {}),
    logger: createSilentLogger(),
  })
  ending.push(doors.closeAll)
  const door = await doors.open(ID)
  return { doors, door, doorsDir, dialled, path: door.socketPath }
}

function open(path: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp(path, () => resolve(socket))
    socket.on('error', reject)
  })
}

/** Sends text and reads until the door ends the connection. */
async function ask(path: string, text: string): Promise<string> {
  const socket = await open(path)
  socket.write(text)
  return read(socket)
}

function read(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
    })
    socket.on('error', () => undefined)
    socket.on('close', () => resolve(text))
  })
}

const get = (url: string) =>
  `GET ${url} HTTP/1.1\r\nHost: errand.internal\r\nConnection: close\r\n\r\n`

it('listens where the sandbox can connect and nothing else', async () => {
  const { doorsDir, path, doors } = await setUp()
  expect(path).toBe(join(doorsDir, ID, 'gateway.sock'))
  expect((await stat(path)).mode & 0o777).toBe(0o666)
  expect((await stat(join(doorsDir, ID))).mode & 0o777).toBe(0o755)
  expect(doors.list()).toEqual([ID])
  await expect(doors.open('../evil')).rejects.toMatchObject({ reason: 'invalid_session_id' })
  expect(await doors.open(ID)).toBe(doors.get(ID))
})

it('says who is calling from the socket alone, and routes', async () => {
  const { doors, path, dialled } = await setUp()
  const other = await doors.open(OTHER)
  expect(await ask(path, get('/git/repository.git/info/refs?x'))).toContain(
    `git ${ID} /git/repository.git/info/refs?x`,
  )
  expect(await ask(other.socketPath, get('/model'))).toContain(`model ${OTHER} /model`)
  expect(await ask(path, get('http://errand.internal/model/v1/messages'))).toContain(
    `model ${ID} /model/v1/messages`,
  )
  expect(await ask(path, get('http://a.example/'))).toContain('from outside')
  expect(await ask(path, get('/admin'))).toMatch(/^HTTP\/1\.1 404 [\s\S]*no_such_door/)
  expect(await ask(path, get('/runner'))).toMatch(/^HTTP\/1\.1 400 [\s\S]*upgrade_required/)
  expect(dialled).toEqual(['a.example:80'])
})

it('tunnels outward, and to itself under its own name', async () => {
  const { path, dialled } = await setUp()
  const connectTo = (authority: string) =>
    `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`
  expect(await ask(path, connectTo('a.example:80') + get('/x'))).toContain('from outside')
  expect(await ask(path, connectTo('errand.internal:80') + get('/git/x'))).toContain(
    `git ${ID} /git/x`,
  )
  expect(await ask(path, connectTo('127.0.0.1:80'))).toContain('x-deny-reason: address_not_allowed')
  expect(dialled).toEqual(['a.example:80'])
})

it('upgrades the runner and nothing else', async () => {
  const { path, doors } = await setUp()
  const socket = await open(path)
  socket.write(
    `GET /runner HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: errand-runner\r\n\r\n`,
  )
  socket.write(`${JSON.stringify({ type: 'hello', protocol: RUNNER_PROTOCOL, lastN: 0 })}\n`)
  let text = ''
  await new Promise<void>((resolve) => {
    socket.on('data', (chunk) => {
      text += chunk.toString()
      if (text.includes('welcome')) resolve()
    })
  })
  expect(text).toMatch(/^HTTP\/1\.1 101 /)
  expect(doors.get(ID)?.runner.connected()).toBe(true)
  const plain = get('/git/x')
    .replace('close', 'Upgrade, close')
    .replace('\r\n\r\n', '\r\nUpgrade: h2c\r\n\r\n')
  expect(await ask(path, plain)).toContain(`git ${ID}`)
  await doors.close(ID)
  expect(doors.get(ID)).toBeUndefined()
})

it('comes back on the same folder, also over a stale socket, but not over a file', async () => {
  const { doors, path, doorsDir } = await setUp()
  const inode = (await stat(join(doorsDir, ID))).ino
  await doors.close(ID)
  await expect(open(path)).rejects.toThrow()
  await leaveStaleSocket(path)
  expect((await stat(path)).isSocket()).toBe(true)
  await doors.open(ID)
  expect(await ask(path, get('/git/x'))).toContain('git')
  expect((await stat(join(doorsDir, ID))).ino).toBe(inode)
  await doors.close(ID)
  await writeFile(path, 'precious')
  await expect(doors.open(ID)).rejects.toMatchObject({ reason: 'socket_path_taken' })
  expect(await readFile(path, 'utf8')).toBe('precious')
  expect(await doors.found()).toEqual([ID])
  await doors.remove(ID)
  expect(await doors.found()).toEqual([])
})

it('keeps 256 of 300 connections and serves again when they have gone', async () => {
  const { path } = await setUp()
  const sockets = await Promise.all(Array.from({ length: 300 }, () => open(path)))
  let dropped = 0
  for (const socket of sockets) {
    socket.on('error', () => undefined)
    socket.on('close', () => {
      dropped += 1
    })
    socket.resume()
  }
  const served = new Promise<string>((resolve) =>
    sockets[0]?.on('data', (chunk) => resolve(String(chunk))),
  )
  sockets[0]?.write(get('/git/x'))
  expect(await served).toContain('git')
  await until(() => dropped >= 44)
  expect(dropped).toBeLessThanOrEqual(45)
  for (const socket of sockets) socket.destroy()
  await until(() => dropped === 300)
  expect(await ask(path, get('/git/x'))).toContain('git')
})

it('ends clients that send their head drop by drop', async () => {
  const { path } = await setUp({ limits: { headersMs: 100 } })
  const socket = await open(path)
  const answer = read(socket)
  const drip = setInterval(() => socket.write('x'), 20)
  socket.write('GET /git/x HTTP/1.1\r\nX-Slow: ')
  expect(await answer).toMatch(/^HTTP\/1\.1 408 /)
  clearInterval(drip)
})

it('ends connections on which nothing moves', async () => {
  const { path } = await setUp({ limits: { idleMs: 50 }, git: () => undefined })
  const socket = await open(path)
  const answer = read(socket)
  socket.write(get('/git/x'))
  expect(await answer).toBe('')
})

it.each([
  ['a head that is too large', `GET /git/x HTTP/1.1\r\nX: ${'x'.repeat(40_000)}\r\n\r\n`, '431'],
  ['no HTTP', 'SSH-2.0-x\r\n\r\n', '400'],
  ['no Host', 'GET /git/x HTTP/1.1\r\n\r\n', '400'],
  [
    'two lengths',
    'POST /git/x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc',
    '400',
  ],
])('refuses %s', async (_, text, status) => {
  const { path } = await setUp()
  expect((await ask(path, text)).slice(9, 12)).toBe(status)
})

it('asks a session that is too fast to wait', async () => {
  const { path } = await setUp({ limits: { requests: { perSecond: 1, burst: 2 } } })
  expect(await ask(path, get('/git/x'))).toContain('git')
  expect(await ask(path, get('/git/x'))).toContain('git')
  const third = await ask(path, get('/git/x'))
  expect(third).toMatch(/^HTTP\/1\.1 429 /)
  expect(third).toContain('retry-after: 1')
  expect(await ask(path, 'CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\n\r\n')).toMatch(
    /^HTTP\/1\.1 429 /,
  )
})

it.each([
  ['CONNECT', 'CONNECT a.example:443 HTTP/1.1\r\nHost: a\r\n\r\n'],
  [
    'an upgrade',
    'GET http://a.example/ HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  ],
])('outlives clients that ask too fast by %s and hang up before they are told', async (_, text) => {
  const { path } = await setUp({ limits: { requests: { perSecond: 1, burst: 0 } } })
  const thrown: Error[] = []
  const note = (error: Error) => thrown.push(error)
  process.on('uncaughtExceptionMonitor', note)
  onTestFinished(() => void process.off('uncaughtExceptionMonitor', note))
  const hangUp = async () => {
    const socket = await open(path)
    await new Promise((resolve) => socket.write(text, resolve))
    await new Promise((resolve) => socket.once('close', resolve).destroy())
  }
  await Promise.all(Array.from({ length: 50 }, hangUp))
  // Behind them, so that they have been answered when this one is.
  expect(await ask(path, get('/git/x'))).toMatch(/^HTTP\/1\.1 429 /)
  expect(thrown).toEqual([])
})

it('caps bodies, announced or not', async () => {
  const read: number[] = []
  const { path } = await setUp({
    limits: { modelBodyBytes: 10 },
    model: async ({ request, response }) => {
      let size = 0
      for await (const chunk of request) size += (chunk as Buffer).length
      read.push(size)
      response.end(`read ${size}`)
    },
  })
  const post = (rest: string) => `POST /model/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n${rest}`
  expect(await ask(path, post('Content-Length: 10\r\n\r\n0123456789'))).toContain('read 10')
  expect(await ask(path, post('Content-Length: 11\r\n\r\n01234567890'))).toMatch(/^HTTP\/1\.1 413 /)
  const chunked = 'Transfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n6\r\n012345\r\n0\r\n\r\n'
  expect(await ask(path, post(chunked))).toMatch(/^HTTP\/1\.1 413 [\s\S]*body_too_large/)
  expect(read).toEqual([10])
})

it('lets the model door say that a request is too large, in the form that the agent reads', async () => {
  const problems: ModelProblem[] = []
  const model = createModelDoor({
    upstreamFor: () => ({ status: 400, reason: 'no_model', message: 'there is none' }),
    policy: { allowsHost: () => false },
    onUsage: () => undefined,
    onProblem: (problem) => problems.push(problem),
  })
  const { path } = await setUp({
    model: ({ sessionId, request, response }) => model(sessionId, request, response),
  })
  const body = 'x'.repeat(33 << 20)
  const head = `POST /model/v1/messages HTTP/1.1\r\nHost: a\r\nConnection: close\r\n`
  const answer = await ask(path, `${head}Content-Length: ${body.length}\r\n\r\n${body}`)
  expect(answer).toMatch(/^HTTP\/1\.1 413 [\s\S]*"type":"request_too_large"/)
  expect(problems).toMatchObject([{ status: 413, reason: 'model_request_too_large' }])
})

it('answers what a route rejects with, and says nothing of what went wrong inside', async () => {
  const { path } = await setUp({
    git: async () => {
      throw new AppError('unavailable', 'git_is_down', 'git is not there')
    },
    model: async () => {
      throw new Error('password=hunter2')
    },
  })
  expect(await ask(path, get('/git/x'))).toMatch(/^HTTP\/1\.1 503 [\s\S]*git_is_down/)
  const inside = await ask(path, get('/model'))
  expect(inside).toMatch(/^HTTP\/1\.1 500 /)
  expect(inside).not.toContain('hunter2')
})

/** A socket file that nobody listens on, as a killed gateway leaves it. */
async function leaveStaleSocket(path: string): Promise<void> {
  const { spawn } = await import('node:child_process')
  const script = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`
  const child = spawn(process.execPath, ['-e', script])
  await new Promise((resolve) => child.once('exit', resolve))
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}
