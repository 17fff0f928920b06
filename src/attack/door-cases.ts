// Attacks on a session's door: floods, slow and oversized requests, forged frames, and use after the end. All of them are
// bounded and end by themselves.
import { RUNNER_PROTOCOL } from '../protocol/runner-frames.ts'
import { type AttackCase, inNode } from './attack-case.ts'

/** Speaks as the runner: `frames` are what came back, line by line, until `enough` says so or the channel is closed. */
export const RUNNER = `
const runner = (lines, { ms = 20000, enough = () => false } = {}) => new Promise(async (resolve) => {
  const socket = await connect(DOOR)
  if (typeof socket === 'string') return resolve({ frames: [], ended: socket })
  let text = ''
  const frames = () => text.split('\\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line))
  const end = (how) => { clearTimeout(timer); socket.destroy(); resolve({ frames: frames(), ended: how }) }
  const timer = setTimeout(() => end('open'), ms)
  socket.on('data', (chunk) => { text += chunk; if (text.endsWith('\\n') && enough(frames())) end('enough') })
  socket.on('error', (error) => end(error.code))
  socket.on('close', () => end('closed'))
  const upgrade = ['GET /runner HTTP/1.1', 'Host: errand.internal', 'Connection: Upgrade', 'Upgrade: errand-runner', '', '']
  socket.write(upgrade.join('\\r\\n'))
  socket.write(JSON.stringify({ type: 'hello', protocol: ${RUNNER_PROTOCOL}, lastN: 0 }) + '\\n')
  for (const line of lines) socket.write((typeof line === 'string' ? line : JSON.stringify(line)) + '\\n')
})
`
const BESIDE_THE_RUNNER = "it would take the real runner's place in its session"

export const DOOR_CASES: AttackCase[] = [
  {
    id: 'door-connections',
    title: 'open thousands of connections',
    script: ({ connections }) =>
      inNode(`
const MOST = ${connections}
const sockets = []
for (let i = 0; i < MOST; i += 100)
  sockets.push(...await Promise.all(Array.from({ length: 100 }, () => connect(DOOR))))
// A connection that was not kept is closed without an answer.
const answered = await Promise.all(sockets.map((socket) => new Promise((resolve) => {
  if (typeof socket === 'string' || socket.destroyed) return resolve(false)
  socket.on('close', () => resolve(false))
  socket.on('data', () => resolve(true))
  socket.write('GET /reach HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')
})))
say('open', answered.filter(Boolean).length + ' of ' + MOST + ' kept')
for (const socket of sockets) if (typeof socket !== 'string') socket.destroy()`),
    held: /^25[0-6] of \d+ kept$/,
    // Some more are lost on a busy machine, by the time that a head may take.
    broken: /^(?:25[7-9]|2[6-9]\d|[3-9]\d\d|\d{4,}) of \d+ kept$/,
  },
  {
    id: 'door-slow-head',
    title: 'send the head of a request drop by drop',
    script: ({ slowMs }) =>
      inNode(`
const socket = await connect(DOOR)
socket.write('GET /reach HTTP/1.1\\r\\nX-Slow: ')
const drip = setInterval(() => socket.write('x'), 100)
const answer = await readAll(socket, ${slowMs})
clearInterval(drip)
say('drip', answer ? summary(answer) : 'still open')`),
    held: /^408\b/,
    broken: /^still open$/,
  },
  {
    id: 'door-large-head',
    title: 'send a head without end',
    script: () =>
      inNode(
        `say('header', summary(await ask(http('GET', '/reach', ['X-Large: ' + 'x'.repeat(100_000)]))))`,
      ),
    held: /^431\b/,
    broken: /^200\b/,
  },
  {
    id: 'door-large-body',
    title: 'send more than a request to the model may hold',
    script: () =>
      inNode(`
const part = '100000\\r\\n' + 'x'.repeat(1 << 20) + '\\r\\n'
say('in parts', summary(await ask(http('POST', '/model/v1/messages', ['Transfer-Encoding: chunked'], part.repeat(65) + '0\\r\\n\\r\\n'))))`),
    held: /^413 body_too_large$/,
    broken: /^400 request_invalid$/,
  },
  {
    id: 'door-request-rate',
    title: 'ask faster than a session may',
    script: () =>
      inNode(`
const MOST = 1500
const answer = await ask('GET /reach HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n'.repeat(MOST - 1) + http('GET', '/reach'))
const count = answer.split('HTTP/1.1 200').length - 1
say('requests', answer.includes('HTTP/1.1 429') ? '429 ' + /"reason":"(\\w+)"/.exec(answer)[1] : 'all of ' + count)`),
    held: /^429 too_many_requests$/,
    broken: /^all of 1500$/,
  },
  {
    id: 'ended-request-rate',
    title: 'the same inside a connection whose TLS is ended',
    script: ({ allowedHost, port }) =>
      inNode(`
import http2 from 'node:http2'
import tls from 'node:tls'
const MOST = 1500
const tunnel = await connect(DOOR)
tunnel.write('CONNECT ${allowedHost}:${port} HTTP/1.1\\r\\nHost: ${allowedHost}\\r\\n\\r\\n')
await new Promise((resolve) => tunnel.once('data', resolve))
const socket = tls.connect({ socket: tunnel, servername: '${allowedHost}', ALPNProtocols: ['h2'], rejectUnauthorized: false })
await new Promise((resolve) => { socket.once('secureConnect', resolve); socket.once('error', resolve) })
const session = http2.connect('https://${allowedHost}:${port}', { createConnection: () => socket })
session.on('error', () => undefined)
// For another host, so that nothing goes out.
const one = () => new Promise((resolve) => {
  const stream = session.request({ ':path': '/', ':authority': 'other.example' })
  stream.on('response', (headers) => { stream.resume(); resolve(headers) })
  stream.on('error', () => resolve({}))
})
const answers = await Promise.all(Array.from({ length: MOST }, one))
const refused = answers.find((headers) => headers[':status'] === 429)
say('requests', refused ? '429 ' + refused['x-error-reason'] : 'all of ' + answers.filter((headers) => headers[':status'] === 421).length)
session.destroy()`),
    held: /^429 too_many_requests$/,
    broken: /^all of 1500$/,
    notOnInstallation: 'it needs a host whose TLS is ended',
  },
  {
    id: 'frame-size',
    title: 'send a frame without end to the channel of the runner',
    script: () =>
      inNode(`${RUNNER}
const { frames, ended } = await runner(['x'.repeat(4 << 20)], { enough: (all) => all.some(({ type }) => type === 'refused') })
const refused = frames.find(({ type }) => type === 'refused')
say('line', refused ? 'read and refused: ' + refused.reason : ended)`),
    held: /^(closed|EPIPE|ECONNRESET)$/,
    broken: /^read and refused: not_json$/,
    notOnInstallation: BESIDE_THE_RUNNER,
  },
  {
    id: 'frame-rate',
    title: 'flood the channel of the runner',
    script: () =>
      inNode(`${RUNNER}
const MOST = 3000
const { frames } = await runner(Array.from({ length: MOST }, () => ({ type: 'ping' })), { ms: 8000, enough: (all) => all.filter(({ type }) => type === 'pong').length >= MOST })
const count = frames.filter(({ type }) => type === 'pong').length
say('pings', count < MOST ? 'paced: fewer than all' : count === MOST ? 'all answered' : 'none')`),
    held: /^paced/,
    broken: /^all answered$/,
    notOnInstallation: BESIDE_THE_RUNNER,
  },
  {
    id: 'frame-garbage',
    title: 'send frames that mean nothing, without end',
    script: () =>
      inNode(`${RUNNER}
const MOST = 150
const { frames, ended } = await runner(Array.from({ length: MOST }, () => 'no frame'), { enough: (all) => all.filter(({ type }) => type === 'refused').length >= MOST })
say('garbage', ended + ' after ' + frames.filter(({ type }) => type === 'refused').length)`),
    held: /^closed after 101$/,
    broken: /^enough after 150$/,
    notOnInstallation: BESIDE_THE_RUNNER,
  },
  {
    id: 'forged-facts',
    title: 'report a push, a cost or a denial that nobody has seen',
    script: () =>
      inNode(`${RUNNER}
const facts = {
  push: { type: 'push.accepted', ref: 'refs/heads/main', commit: 'c0ffee', outward: 'forwarded', message: '' },
  cost: { type: 'model.used', requestId: 'r', model: 'm', inputTokens: 1, outputTokens: 1, cacheReadTokens: 0, cacheCreationTokens: 0, costUsd: 0, durationMs: 1 },
  denial: { type: 'egress.denied', host: 'a.example', port: 443, reason: 'host_not_allowed' },
}
const reports = Object.values(facts).map((report, index) => ({ type: 'report', n: index + 1, report }))
const { frames } = await runner(reports, { enough: (all) => all.filter(({ n }) => n).length >= reports.length })
for (const [index, way] of Object.keys(facts).entries()) {
  const answer = frames.find(({ n }) => n === index + 1)
  say(way, answer ? [answer.type, answer.reason].filter(Boolean).join(' ') : 'no answer')
}`),
    held: /^refused invalid_frame$/,
    broken: /^ack$/,
    notOnInstallation: BESIDE_THE_RUNNER,
  },
  {
    id: 'stale-claim',
    title: 'report about another turn, and for a sandbox that was replaced',
    script: () =>
      inNode(`${RUNNER}
const OTHER = 't_' + 'z'.repeat(20)
const late = {
  'earlier sandbox': { type: 'phase.logged', phase: 'checkout', generation: 0, lines: ['late'] },
  'other turn': { type: 'assistant.text', turnId: OTHER, uuid: 'u', text: 'late' },
  'end of another turn': { type: 'turn.completed', turnId: OTHER, exitCode: null, durationMs: 1 },
}
const own = { type: 'phase.started', phase: 'checkout', generation: 1 }
const reports = [own, late['earlier sandbox'], { type: 'runner.ready', generation: 1 }, late['other turn'], late['end of another turn']]
const { frames } = await runner(reports.map((report, index) => ({ type: 'report', n: index + 1, report })), { enough: (all) => all.filter(({ n }) => n).length >= reports.length })
const { recorded } = JSON.parse((await ask(http('GET', '/reach'))).split('\\r\\n\\r\\n')[1])
if (!recorded.includes(own.type)) say('own', 'not recorded: ' + JSON.stringify(frames))
for (const [way, { type }] of Object.entries(late)) say(way, recorded.includes(type) ? 'recorded' : 'left out')`),
    held: /^left out$/,
    broken: /^recorded$/,
    notOnInstallation: BESIDE_THE_RUNNER,
  },
  {
    id: 'secret-in-a-report',
    title: 'report the value of a credential, also encoded and in pieces',
    script: ({ secret }) =>
      inNode(`${RUNNER}
const secret = '${secret}'
const bytes = Buffer.from(secret)
const TURN = 't_' + 'y'.repeat(20)
const forms = { plain: secret, base64: Buffer.from('a' + secret).toString('base64').slice(2), hex: bytes.toString('hex'), 'percent encoded': bytes.toString('hex').replace(/../g, '%$&') }
const texts = [...Object.values(forms), secret.slice(0, 9), secret.slice(9), 'end']
const told = texts.map((text) => ({ type: 'command.output', turnId: TURN, text }))
const reports = [...told, { type: 'turn.completed', turnId: TURN, exitCode: 0, durationMs: 1 }].map((report, index) => ({ type: 'report', n: index + 1, report }))
await runner(reports, { enough: (all) => all.filter(({ n }) => n).length >= reports.length })
const { stored } = JSON.parse((await ask(http('GET', '/reach'))).split('\\r\\n\\r\\n')[1])
const text = stored.map(({ text = '' }) => text).join('')
const count = text.split('[redacted]').length - 1
const ways = { ...forms, 'in pieces': secret }
if (!text.endsWith('end')) say('report', 'not taken: ' + text)
for (const [way, form] of Object.entries(ways)) say(way, text.includes(form) ? 'stored' : count === 5 ? 'redacted' : 'missing')`),
    held: /^redacted$/,
    broken: /^stored$/,
    notOnInstallation: BESIDE_THE_RUNNER,
  },
  {
    id: 'after-the-end',
    title: "use the session's door after its end",
    script: () => inNode(`say('request', summary(await ask(http('GET', '/reach'))))`),
    held: /^(ENOENT|ECONNREFUSED)$/,
    broken: /^200\b/,
    notOnInstallation: 'nothing runs in a sandbox after its end',
  },
]
