// What passes through the gateway from inside a real sandbox, with proxy variables and without: HTTP/1.1, HTTP/2 and WebSockets
// over TLS, plain HTTP, answers as they come, much in either direction in constant memory, and authorities of the host's owner
// in every language. The server is a stand-in on the island; only an authority of the test's own vouches for it.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createSampleRepository } from '../../demo/repository.ts'
import { createLeaves, makeAuthority } from '../../src/egress/tls/authority.ts'
import { findProgram } from '../faults/processes.ts'
import { type Installation, startInstallation } from './installation.ts'
import { createIsland, type Island } from './island.ts'
import { createStandIn, type StandIn } from './stand-in.ts'
import { runInside } from './transcript.ts'

const TUNNEL = 'tunnel.errand.test'
/** Has a rule, so that its TLS is ended at the gateway. */
const ENDED = 'ended.errand.test'
const STRANGER = 'stranger.errand.test'
const MIB = 1024 ** 2
const MUCH = Number(process.env.ERRAND_TRANSPORT_MB ?? 160) * MIB
const WARM_UP = 48 * MIB
/** Less than a stream that is held anywhere, and more than a garbage collector leaves lying around. */
const MOST_GROWTH = 64 * MIB
/** Much is slow on a machine that does something else. */
const LIMIT_MS = 480_000

let island: Island
let errand: Installation
let standIn: StandIn
let folder: string
let id: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-transport-'))
  const repository = join(folder, 'cart')
  await createSampleRepository(repository)
  const hosts = [TUNNEL, ENDED, STRANGER]
  island = await createIsland({
    hosts: Object.fromEntries(hosts.map((host) => [host, 'outside'])),
  })
  const authority = await makeAuthority(Date.now())
  const caFile = join(folder, 'authority.pem')
  await writeFile(caFile, authority.certificate)
  const leafFor = await createLeaves(authority, Date.now)
  const strangeLeafFor = await createLeaves(await makeAuthority(Date.now()), Date.now)
  standIn = await createStandIn(island.outside, (host) =>
    host === STRANGER ? strangeLeafFor(host) : leafFor(host),
  )
  errand = await startInstallation({
    ...{ island, followLimitMs: LIMIT_MS },
    env: {
      ERRAND_ALLOWED_NETWORKS: hosts.map((host) => `${host}=${island.network}`).join(','),
      NODE_EXTRA_CA_CERTS: caFile,
    },
  })
  const network = {
    ...{ level: 'custom' as const, domains: [TUNNEL, STRANGER], includeTrusted: false },
    rules: [{ host: ENDED, methods: ['GET', 'PUT'], paths: [] }],
  }
  id = (await errand.start(repository, 'echo ready', { kind: 'command', network })).id
  await errand.finish(id)
})
afterAll(async () => {
  await errand?.stop()
  standIn?.close()
  await island?.remove()
  await rm(folder, { recursive: true, force: true })
})
beforeEach(() => {
  standIn.seen.splice(0)
})

const DIRECT = 'unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY no_proxy NO_PROXY'
const ways: [string, string][] = [
  ['with proxy variables', 'export NODE_USE_ENV_PROXY=1'],
  ['without proxy variables', DIRECT],
]
const curl = 'curl -sS --max-time 30'
const patientCurl = 'curl -sS --max-time 200'

describe.each(ways)('%s', (_, way) => {
  const inside = (...lines: string[]) => runInside(errand, id, [way, ...lines].join('\n'))

  it('speaks HTTP/1.1 and HTTP/2 over TLS, and plain HTTP', async () => {
    const ask = (url: string, version = '') =>
      `echo "$(${curl} ${version} -w 'by %{http_version}' ${url} 2>&1)"`
    const said = await inside(
      ask(`https://${TUNNEL}/`, '--http2'),
      ask(`https://${TUNNEL}/`, '--http1.1'),
      ask(`https://${ENDED}/`, '--http2'),
      ask(`http://${TUNNEL}/`),
    )
    expect(said).toBe(['2', '1.1', '2', '1.1'].map((v) => `hello\nby ${v}\n`).join(''))
    // Through the tunnel both ends speak HTTP/2 with each other; where TLS is ended the gateway asks by itself.
    const get = (version: string) => `HTTP/${version} GET /`
    expect(standIn.seen).toEqual([get('2.0'), get('1.1'), get('1.1'), get('1.1')])
  })

  it.each([TUNNEL, ENDED])('carries a WebSocket over TLS to %s', async (host) => {
    const script = [
      `const s = new WebSocket("wss://${host}/")`,
      's.onopen = () => s.send("over TLS")',
      's.onerror = ({ message }) => console.log("failed", message)',
      's.onmessage = ({ data }) => { console.log("heard", data); s.close() }',
    ].join('; ')
    expect(await inside(`/opt/errand/node -e '${script}' 2>&1`)).toContain('heard over TLS')
  })

  it.each([TUNNEL, ENDED])('hands on what %s says as it comes', async (host) => {
    const url = `https://${host}`
    const said = await inside(
      `${curl} --no-buffer ${url}/hold/1 | { read -r line; echo "$line"; ${curl} ${url}/go/1; cat; }`,
    )
    expect(said).toBe('the beginning\nhello\nand the rest\n')
  })
})

it('takes fetch and WebSockets of Node.js through the proxy that the variables name', async () => {
  // A relay in front of the proxy sees what comes that way: without the variables the same would be carried past it.
  const relay = `
import { spawn } from 'node:child_process'
import net from 'node:net'
const { hostname, port } = new URL(process.env.HTTPS_PROXY)
const server = net.createServer((client) => client.once('data', (first) => {
  console.log('proxy: ' + String(first).split(' HTTP/')[0])
  const proxy = net.connect(Number(port || 80), hostname)
  proxy.write(first)
  client.pipe(proxy).pipe(client)
  for (const one of [client, proxy]) one.on('error', () => undefined)
})).listen(0, '127.0.0.1', () => {
  const url = 'http://127.0.0.1:' + server.address().port
  const env = { ...process.env, NODE_USE_ENV_PROXY: '1', HTTP_PROXY: url, HTTPS_PROXY: url, http_proxy: url, https_proxy: url }
  spawn(process.execPath, ['/tmp/asks.mjs'], { env, stdio: 'inherit' }).on('exit', () => process.exit())
})`
  const asks = `
const socket = new WebSocket('wss://${TUNNEL}/')
socket.onopen = () => socket.send('by the proxy')
socket.onerror = ({ message }) => { console.log('failed ' + message); process.exit() }
await new Promise((resolve) => {
  socket.onmessage = ({ data }) => { console.log('heard ' + data); resolve() }
})
console.log((await (await fetch('https://${TUNNEL}/')).text()).trim())
console.log((await (await fetch('http://${TUNNEL}/')).text()).trim())
process.exit()`
  const file = (name: string, text: string) => `cat > /tmp/${name} <<'END'\n${text}\nEND`
  const said = await runInside(
    errand,
    id,
    [file('relay.mjs', relay), file('asks.mjs', asks), '/opt/errand/node /tmp/relay.mjs 2>&1'].join(
      '\n',
    ),
  )
  const tunnel = `proxy: CONNECT ${TUNNEL}:443`
  expect(said.trim().split('\n')).toEqual([
    ...[tunnel, 'heard by the proxy', tunnel, 'hello'],
    ...[expect.stringMatching(/^proxy: (CONNECT|GET http:)/), 'hello'],
  ])
})

/** The most that it took since `resetPeak`, in bytes. */
async function memoryOf(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(status)?.[1]) * 1024
}

/** Counts the most from here (proc(5), clear_refs); returns what it takes now. */
async function resetPeak(pid: number): Promise<number> {
  await writeFile(`/proc/${pid}/clear_refs`, '5')
  return memoryOf(pid)
}

it.each([TUNNEL, ENDED])(
  'moves much to and from %s in constant memory',
  { timeout: LIMIT_MS },
  async (host) => {
    const move = (bytes: number) =>
      runInside(
        errand,
        id,
        `${DIRECT}
head -c ${bytes} /dev/zero | ${patientCurl} -T - https://${host}/sink
${patientCurl} https://${host}/zeros/${bytes} | wc -c`,
      )
    const pid = findProgram(errand.dataDir, 'gateway')
    // What is kept for later connections is taken once.
    await move(WARM_UP)
    const before = await resetPeak(pid)
    expect(await move(MUCH)).toBe(`took ${MUCH}\n${MUCH}\n`)
    const growth = (await memoryOf(pid)) - before
    expect(growth).toBeLessThan(MOST_GROWTH)
  },
)

describe('an authority of the owner of this machine', () => {
  const PYTHON = 'import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).read().decode())'
  const NODE = 'fetch(process.argv[1]).then((r) => r.text()).then(console.log)'
  const JAVA = `public class Ask { public static void main(String[] a) throws Exception {
    System.out.write(new java.net.URI(a[0]).toURL().openStream().readAllBytes()); System.out.flush(); } }`
  /** No variable that names a file of authorities is left: the stores of the system have to do. */
  const STORES = `${DIRECT} SSL_CERT_FILE REQUESTS_CA_BUNDLE CURL_CA_BUNDLE GIT_SSL_CAINFO PIP_CERT`
  const clients: Record<string, (host: string) => string> = {
    curl: (host) => `${curl} https://${host}/`,
    OpenSSL: (host) =>
      `echo | openssl s_client -verify_return_error -connect ${host}:443 -servername ${host}`,
    'Node.js': (host) => `/opt/errand/node -e '${NODE}' https://${host}/`,
    Python: (host) => `/usr/bin/python3 -c '${PYTHON}' https://${host}/`,
    Java: (host) => `java /tmp/Ask.java https://${host}/`,
    Go: (host) =>
      `cd /tmp && GOFLAGS=-mod=mod GONOSUMDB=* GOPROXY=https://${host} go list -m -versions -retracted example.org/a`,
    git: (host) => `git -c protocol.version=0 ls-remote https://${host}/a.git`,
  }
  const WORKS = /hello|Verify return code: 0|example\.org\/a v1\.2\.3|refs\/heads\/seen/
  const FAILS = /certificate|PKIX|SELF_SIGNED|fetch failed/i

  it('is in the store of every program, and no stranger is', async () => {
    const ask = (host: string) =>
      Object.entries(clients).map(
        ([name, command]) => `echo "== ${host} ${name}"; ( ${command(host)} ) 2>&1`,
      )
    const lines = [
      `PATH=$PATH:/usr/local/go/bin; ${STORES}; printf '%s' '${JAVA}' >/tmp/Ask.java`,
      ...[TUNNEL, STRANGER].flatMap(ask),
    ]
    const said = (await runInside(errand, id, lines.join('\n'))).split('== ').slice(1)
    for (const name of Object.keys(clients)) {
      const of = (host: string) => said.find((part) => part.startsWith(`${host} ${name}\n`))
      expect(of(TUNNEL), name).toMatch(WORKS)
      expect(of(STRANGER), name).toMatch(FAILS)
      expect(of(STRANGER), name).not.toMatch(WORKS)
    }
  })
})
