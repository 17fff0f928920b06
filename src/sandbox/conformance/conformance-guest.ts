// The program that conformance tests run as process 1, and the door that they serve for it: the test sends commands
// through the door's socket and gets their output back. Stands in for runner and gateway; used by tests only.
import { chmod, mkdir, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { createLineSplitter, encodeLine } from '../../lib/ndjson.ts'
import { SANDBOX_PATHS } from '../../protocol/network.ts'

/** Runs each line that it gets, `{id, script}` with sh or `{id, code}` as an async function in process 1 itself. */
export const guestProgram = (doorSocket: string) => `
import { spawn } from 'node:child_process'
import net from 'node:net'
import { createInterface } from 'node:readline'
let socket
const answer = (value) => socket.write(JSON.stringify(value) + '\\n')
const run = (id, script) => {
  const child = spawn('sh', ['-c', script], { stdio: ['ignore', 'pipe', 'pipe'] })
  let stdout = '', stderr = ''
  child.stdout.on('data', (chunk) => (stdout += chunk))
  child.stderr.on('data', (chunk) => (stderr += chunk))
  child.on('error', (error) => answer({ id, exitCode: 126, stdout, stderr: String(error) }))
  child.on('close', (code, signal) => answer({ id, exitCode: code, signal, stdout, stderr }))
}
const evaluate = async (id, code) => {
  try {
    const result = await new (Object.getPrototypeOf(async () => {}).constructor)(code)()
    answer({ id, exitCode: 0, stdout: JSON.stringify(result) ?? '', stderr: '' })
  } catch (error) {
    answer({ id, exitCode: 1, stdout: '', stderr: error.code ?? String(error) })
  }
}
const connect = () => {
  socket = net.connect('${doorSocket}')
  socket.on('error', () => undefined)
  socket.on('close', () => setTimeout(connect, 20))
  const lines = createInterface({ input: socket })
  lines.on('error', () => undefined)
  lines.on('line', (line) => {
    const { id, script, code } = JSON.parse(line)
    if (code === undefined) run(id, script)
    else void evaluate(id, code)
  })
}
connect()
console.log('guest started')
process.on('SIGTERM', () => process.exit(7))
`

/** Takes the place of the gateway. */
export const GUEST_PROGRAM = guestProgram(SANDBOX_PATHS.doorSocket)

interface GuestResult {
  exitCode: number | null
  signal?: string | null
  stdout: string
  stderr: string
}

export interface Guest {
  /** Resolves when the guest has connected. */
  connected(): Promise<void>
  /** A script for sh. */
  sh(script: string): Promise<GuestResult>
  /** The body of an async function, in process 1; its result comes back as JSON. */
  evaluate(code: string): Promise<unknown>
  /** Sends without waiting for an answer. */
  post(code: string): Promise<void>
  /** Resolves when the connection has gone. */
  disconnected(): Promise<void>
  close(): Promise<void>
}

/** `name` is that of the socket: a guest beside the real gateway has another one in the same folder. */
export async function openDoor(
  doorsDir: string,
  sessionId: string,
  name = 'gateway.sock',
): Promise<Guest> {
  const folder = join(doorsDir, sessionId)
  await mkdir(folder, { recursive: true })
  const socketPath = join(folder, name)
  await rm(socketPath, { force: true })
  const connection = createConnectionState()
  const server = createServer(connection.accept)
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  await chmod(socketPath, 0o666)
  return {
    ...createCalls(connection),
    close: async () => {
      connection.current()?.destroy()
      await new Promise((resolve) => server.close(resolve))
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function createConnectionState() {
  let socket: Socket | undefined
  const waiting = { open: new Set<() => void>(), shut: new Set<() => void>() }
  const pending = new Map<number, (result: GuestResult) => void>()
  const wake = (set: Set<() => void>) => {
    for (const resolve of set) resolve()
    set.clear()
  }
  const accept = (accepted: Socket) => {
    socket = accepted
    const split = createLineSplitter(64 << 20)
    accepted.on('error', () => undefined)
    accepted.on('data', (chunk: Buffer) => {
      for (const line of split(chunk)) {
        const { id, ...result } = JSON.parse(line)
        pending.get(id)?.(result)
        pending.delete(id)
      }
    })
    accepted.on('close', () => {
      if (socket === accepted) socket = undefined
      wake(waiting.shut)
    })
    wake(waiting.open)
  }
  const wait = (set: Set<() => void>, done: boolean) =>
    new Promise<void>((resolve) => {
      if (done) resolve()
      else set.add(resolve)
    })
  return {
    accept,
    pending,
    current: () => socket,
    opened: () => wait(waiting.open, socket !== undefined),
    shut: () => wait(waiting.shut, socket === undefined),
  }
}

function createCalls(connection: ReturnType<typeof createConnectionState>) {
  let count = 0
  const send = async (message: object): Promise<number> => {
    await connection.opened()
    count += 1
    connection.current()?.write(encodeLine({ id: count, ...message }))
    return count
  }
  const call = async (message: object): Promise<GuestResult> => {
    const id = await send(message)
    return await new Promise((resolve) => connection.pending.set(id, resolve))
  }
  return {
    connected: connection.opened,
    disconnected: connection.shut,
    sh: (script: string) => call({ script }),
    evaluate: async (code: string) => {
      const { exitCode, stdout, stderr } = await call({ code })
      if (exitCode !== 0) throw new Error(stderr)
      return stdout === '' ? undefined : JSON.parse(stdout)
    },
    post: async (code: string) => {
      await send({ code })
    },
  }
}
