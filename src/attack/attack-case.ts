// What an attack is: a script that runs inside a sandbox, tries one thing in one or more ways, and prints a line for each:
// `way: what came of it`. Data and pure rules only; test/attack/ and `errand attack` run them.
import { SANDBOX_PATHS } from '../protocol/network.ts'

/** What a script is aimed at; whoever runs it made all of it. */
export interface Targets {
  /** A file of the host that every user of the host may read. Its text holds `secret`. */
  hostFile: string
  secret: string
  /** An argument of a process of the host. */
  processMark: string
  /** Key of a piece of shared memory of the host whose text holds `secret`. */
  sharedMemoryKey: number
  /** A folder with a socket of another session's door. */
  otherDoor: string
  /** Id of another session. */
  otherSession: string
  /** Addresses of places that no session may reach, with a port on which somebody would answer. */
  forbidden: { metadata: string; metadata6: string; private10: string; private192: string }
  publicAddress: string
  port: number
  /** A host that the session may not reach. */
  deniedHost: string
  /** One that it may reach at `port`. */
  allowedHost: string
  /** One that it may reach at 80 and 443. */
  webHost: string
  /** One that it may reach at `port`, and whose address changes after the first question. */
  rebindingHost: string
  /** `host:port` of places that are on its list although nobody may reach them. */
  listedButForbidden: string[]
  /** Name and bytes of a large file (LFS) of another session. */
  otherFile: { oid: string; size: number }
  /** The branch of the session. */
  branch: string
  /** The turn that begins when the runner of the session says that it is ready. */
  turn: string
  /** Of an API credential that is for `/api` of `allowedHost` at `port`; its value is `secret`. */
  placeholder: string
  api: ApiTargets
  /** How many are opened at a door. */
  connections: number
  /** How long a slow request is kept up. */
  slowMs: number
}

/** The API of the server, where a sandbox does not reach it by itself: what holds there is tried with its door open. */
export interface ApiTargets {
  /** Name of its socket in the folder of the door. */
  socket: string
  /** What it is called at, and the origin of its page. */
  host: string
  origin: string
  /** Every operation, what destroys something last; `body` is JSON or empty. */
  operations: {
    way: string
    method: string
    path: string
    body: string
    isPublic: boolean
    /** For the owner of the installation alone. */
    isOwnerOnly: boolean
    /** It names something that belongs to the owner. */
    isOfOwner: boolean
  }[]
  owner: ApiCaller
  member: ApiCaller
  /** The same once more, with other things of the owner's and another cookie. */
  again: Pick<ApiTargets, 'operations' | 'owner'>
}

interface ApiCaller {
  cookie: string
  bearer: string
}

export interface AttackCase {
  /** Names it in docs/threat-model.md. */
  id: string
  /** What is tried, in a few words. */
  title: string
  script(targets: Targets): string
  /** What is printed behind `way: ` when the control holds. It names the reason, so that a missing tool is no success. */
  held: RegExp
  /** Where one of several controls may be the first to refuse. */
  heldOnInstallation?: RegExp
  /** What is printed when the attack has worked. */
  broken: RegExp
  /** Why `errand attack` leaves it out. */
  notOnInstallation?: string
}

export interface Attempt {
  way: string
  outcome: string
}

/** What the script printed; lines in another form are no attempts. */
export function readAttempts(output: string): Attempt[] {
  return output.split('\n').flatMap((line) => {
    const [, way = '', outcome = ''] = /^([a-z0-9][a-z0-9 ._/-]*): (.*)$/i.exec(line.trim()) ?? []
    return way === '' ? [] : [{ way, outcome }]
  })
}

export type Verdict =
  | { kind: 'held' | 'broken'; detail: string }
  | { kind: 'not_tried'; detail: string }

/** Broken when one way has worked; held when each one failed for the reason of the control. */
export function judge({ held, broken }: AttackCase, output: string): Verdict {
  const attempts = readAttempts(output)
  const text = ({ way, outcome }: Attempt) => `${way}: ${outcome}`
  const worked = attempts.find(({ outcome }) => broken.test(outcome))
  if (worked) return { kind: 'broken', detail: text(worked) }
  const strange = attempts.find(({ outcome }) => !held.test(outcome))
  const [first] = attempts
  if (strange || !first)
    return { kind: 'not_tried', detail: strange ? text(strange) : output.trim().slice(-200) }
  return { kind: 'held', detail: text(first) }
}

/** A script for sh that has the Node.js of the sandbox run this module. */
export function inNode(code: string): string {
  return `${SANDBOX_PATHS.node} --input-type=module - <<'END_OF_ATTACK'\n${PRELUDE}${code}\nEND_OF_ATTACK\n`
}

/**
 * What scripts in Node.js begin with: `say`, `connect` (TCP or unix), and `ask`, which sends bytes to the session's door.
 * Whoever waits for an answer has time for a busy machine; what is over ends sooner.
 */
const PRELUDE = `
import net from 'node:net'
const DOOR = '${SANDBOX_PATHS.doorSocket}'
const say = (way, outcome) => console.log(way + ': ' + String(outcome).replace(/[\\r\\n]+/g, ' ').slice(0, 300))
const connect = (where, ms = 20000) => new Promise((resolve) => {
  const socket = net.connect(where, () => { clearTimeout(timer); resolve(socket) })
  const timer = setTimeout(() => { socket.destroy(); resolve('no answer') }, ms)
  socket.on('error', (error) => { clearTimeout(timer); resolve(error.code) })
})
const tryConnect = async (where) => {
  const socket = await connect(where)
  if (typeof socket === 'string') return socket
  socket.destroy()
  return 'connected'
}
const readAll = (socket, ms = 20000, enough = () => false) => new Promise((resolve) => {
  let text = ''
  const end = () => { clearTimeout(timer); socket.destroy(); resolve(text) }
  const timer = setTimeout(end, ms)
  socket.on('data', (chunk) => { text += chunk.toString('latin1'); if (enough(text)) end() })
  socket.on('error', end)
  socket.on('close', end)
})
const ask = async (bytes, { ms, enough } = {}) => {
  const socket = await connect(DOOR)
  if (typeof socket === 'string') return socket
  const answer = readAll(socket, ms, enough)
  socket.write(bytes)
  return answer
}
const summary = (answer) => {
  const status = /^HTTP\\/1\\.1 (\\d+)/.exec(answer)?.[1]
  const reason = /^x-(?:deny|error)-reason: (\\S+)/im.exec(answer)?.[1] ?? /"reason":"([a-z_]+)"/.exec(answer)?.[1]
  return status ? [status, reason ?? answer.split('\\r\\n\\r\\n').slice(1).join(' ').slice(0, 200)].join(' ') : answer || 'closed'
}
const http = (method, target, headers = [], body = '') =>
  [method + ' ' + target + ' HTTP/1.1', 'Host: errand.internal', 'Connection: close', ...headers, '', body].join('\\r\\n')
`
