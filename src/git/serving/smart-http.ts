// Smart HTTP in front of git's own upload-pack and receive-pack (gitprotocol-http): streams in constant memory, unpacks gzip,
// and ends git together with the request, after silence, or at a limit. Decides nothing about refs.
// Where the request was read already, git writes its answer to the connection itself; whoever reads it keeps the limit for
// silence then (client.ts).
import type { ChildProcess, StdioOptions } from 'node:child_process'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { passInGulps } from '../../lib/gulps.ts'
import type { Logger } from '../../lib/logger.ts'
import { lastLines } from '../../lib/process.ts'
import { AppError } from '../../protocol/errors.ts'
import { endGit, type Git, type Settings } from '../git-process.ts'
import type { GitService } from '../messages.ts'
import type { Announcements } from './announcements.ts'
import { answerHook, HOOK_CHANNEL, type HookAnswer, type HookQuestion } from './hooks.ts'
import { feedBody } from './request-body.ts'

export interface SmartHttpCall {
  service: GitService
  directory: string
  settings: Settings
  /** Most bytes of the request after unpacking. */
  maxBodyBytes: number
  /** The body, when it was read already: nothing more may come on the connection. */
  body?: Buffer
  /** Asked by the pre-receive hook of a push. */
  decide?: (question: HookQuestion) => Promise<HookAnswer>
  /** Awaited after git has ended and before the answer ends. */
  finish?: () => Promise<void>
}

export interface Exchange {
  incoming: IncomingMessage
  outgoing: ServerResponse
}

const SILENCE_LIMIT_MS = 300_000
const TOTAL_LIMIT_MS = 3_600_000

/** Answers `GET …/info/refs?service=…`. */
export async function advertiseRefs(
  { git, announcements }: { git: Git; announcements: Announcements },
  call: SmartHttpCall,
  { incoming, outgoing }: Exchange,
): Promise<void> {
  const { service, directory, settings } = call
  const protocol = protocolOf(service, incoming)
  const signal = abortOnClose(outgoing)
  const ask = () => askForRefs(git, call, { protocol, signal })
  const isV2 = protocol?.split(':').includes('version=2') ?? false
  const said =
    protocol !== undefined && isV2
      ? await announcements.of({ directory, settings, protocol }, ask)
      : Buffer.concat([serviceLine(service), await ask()])
  outgoing.writeHead(200, {
    ...NO_CACHE,
    'content-type': `application/x-${service}-advertisement`,
  })
  outgoing.end(said)
}

async function askForRefs(
  git: Git,
  { service, directory, settings }: SmartHttpCall,
  { protocol, signal }: { protocol: string | undefined; signal: AbortSignal },
): Promise<Buffer> {
  const verb = service.slice('git-'.length)
  const args = [verb, '--stateless-rpc', '--advertise-refs', directory]
  const env: Record<string, string> = protocol === undefined ? {} : { GIT_PROTOCOL: protocol }
  const result = await git.run({ args, settings, env, signal })
  if (result.exitCode !== 0)
    throw new AppError('internal', 'git_failed', `git ${verb} said: ${lastLines(result.stderr, 3)}`)
  return result.stdout
}

/** Answers `info/refs` with a sentence that git shows as `fatal: remote error: …`. */
export function refuseRefs(service: GitService, sentence: string, outgoing: ServerResponse): void {
  outgoing.writeHead(200, { ...NO_CACHE, 'content-type': `application/x-${service}-advertisement` })
  outgoing.end(Buffer.concat([serviceLine(service), packetLine(`ERR ${sentence}\n`)]))
}

/** Answers `POST …/git-upload-pack` and `POST …/git-receive-pack`. */
export async function runService(
  deps: { git: Git; log: Logger },
  call: SmartHttpCall,
  { incoming, outgoing }: Exchange,
): Promise<void> {
  const protocol = protocolOf(call.service, incoming)
  const args = [call.service.slice('git-'.length), '--stateless-rpc', call.directory]
  const env: Record<string, string> = protocol === undefined ? {} : { GIT_PROTOCOL: protocol }
  const head = { ...NO_CACHE, 'content-type': `application/x-${call.service}-result` }
  const stdout = call.body ? await openConnection(outgoing, head) : 'pipe'
  const stdio: StdioOptions = ['pipe', stdout, 'pipe', 'pipe']
  const child = deps.git.start({ args, settings: call.settings, env }, stdio)
  const closed = whenClosed(child)
  const watcher = watch(child, outgoing)
  const channel = child.stdio[HOOK_CHANNEL] as Duplex
  if (call.decide)
    answerHook(channel, call.decide, (error) =>
      deps.log.error({ err: error }, 'a push could not be checked'),
    )
  else channel.destroy()
  let stderr = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString('utf8')).slice(-4096)
  })
  if (child.stdout) {
    outgoing.writeHead(200, head)
    passInGulps(child.stdout, outgoing)
  }
  try {
    const { maxBodyBytes: maxBytes, body } = call
    if (child.stdin)
      await feedBody(incoming, child.stdin, { maxBytes, body, onMove: watcher.onMove })
    const code = await closed
    if (code !== 0)
      deps.log.info(
        { service: call.service, code, said: lastLines(stderr, 3) },
        'git ended a request',
      )
  } finally {
    endGit(child)
    await closed
    watcher.stop()
    await call.finish?.()
    if (outgoing.writable) outgoing.end()
  }
}

/** Sends the head of an answer that ends with the connection. What is written to the socket from then on is its body. */
async function openConnection(
  outgoing: ServerResponse,
  head: Record<string, string>,
): Promise<Socket> {
  outgoing.removeHeader('transfer-encoding')
  outgoing.writeHead(200, { ...head, connection: 'close' })
  outgoing.flushHeaders()
  const { socket } = outgoing
  if (!socket) throw new Error('the request was given up')
  await new Promise<void>((resolve, reject) => {
    socket.write('', (error) => (error ? reject(error) : resolve()))
  })
  return socket
}

const NO_CACHE = {
  'cache-control': 'no-cache, max-age=0, must-revalidate',
  expires: 'Fri, 01 Jan 1980 00:00:00 GMT',
  pragma: 'no-cache',
}

/** receive-pack speaks no version 2; a client that asks for it gets version 0. */
function protocolOf(service: GitService, incoming: IncomingMessage): string | undefined {
  const header = incoming.headers['git-protocol']
  if (service === 'git-receive-pack' || typeof header !== 'string') return undefined
  return /^[a-z0-9=:.-]{1,200}$/.test(header) ? header : undefined
}

/** Ends git when nobody reads the answer any more, when nothing moves here, and at the limit for the whole. */
function watch(child: ChildProcess, outgoing: ServerResponse) {
  const end = () => endGit(child)
  const silence = child.stdout ? setTimeout(end, SILENCE_LIMIT_MS) : undefined
  const total = setTimeout(end, TOTAL_LIMIT_MS)
  const onMove = () => {
    silence?.refresh()
  }
  child.stdout?.on('data', onMove)
  outgoing.on('close', end)
  const stop = () => {
    clearTimeout(silence)
    clearTimeout(total)
    outgoing.off('close', end)
  }
  return { onMove, stop }
}

function whenClosed(child: ChildProcess): Promise<number> {
  const closed = Promise.withResolvers<number>()
  child.on('close', (code) => closed.resolve(code ?? 128))
  child.on('error', () => closed.resolve(128))
  return closed.promise
}

export function abortOnClose(outgoing: ServerResponse): AbortSignal {
  const controller = new AbortController()
  outgoing.on('close', () => {
    if (!outgoing.writableFinished) controller.abort(new Error('the request was given up'))
  })
  return controller.signal
}

function serviceLine(service: GitService): Buffer {
  return Buffer.concat([packetLine(`# service=${service}\n`), Buffer.from('0000')])
}

function packetLine(text: string): Buffer {
  const body = Buffer.from(text)
  return Buffer.concat([Buffer.from((body.length + 4).toString(16).padStart(4, '0')), body])
}
