// The bundled runner as it runs inside a sandbox: own network, pid and mount namespaces, netfilter redirection, the shell as
// process 1; outside of them only the scripted model and the gateway's side of the door. Needs root.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import {
  chmod,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  writeFile,
} from 'node:fs/promises'
import { createServer, request, type Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSampleRepository, gitEnvironment } from '../../demo/repository.ts'
import { loadScenarios, type Scenario } from '../../demo/scenario.ts'
import { createScriptedModel, type ScriptedModel } from '../../demo/scripted-model.ts'
import { buildRunner } from '../../scripts/build-runner.ts'
import { delay } from '../lib/deadline.ts'
import { runChecked } from '../lib/process.ts'
import {
  REDIRECTED_PORTS,
  RUNNER_DNS_PORT,
  runnerPortFor,
  SANDBOX_PATHS,
} from '../protocol/network.ts'
import { PROCESS_ONE, SANDBOX_ENVIRONMENT } from '../protocol/process-one.ts'
import { beforeRunner } from './agent/ahead-script.ts'
import { type FakeGateway, startFakeGateway } from './gateway.fixture.ts'
import { claudePath, newId, setupFor } from './place.fixture.ts'

const DENIAL = JSON.stringify({ error: { reason: 'host_not_allowed' } })

let folder: string
let model: ScriptedModel
let gateway: FakeGateway
let upstream: Server
let inside: ChildProcess
let words = ''

/** Programs that lose their group, their parent and their environment. */
const LEAVES_BEHIND = [
  'setsid env -i /bin/sh -c "exec sleep 2001" &',
  'env -i nohup /bin/sh -c "exec sleep 2002" >/dev/null 2>&1 &',
  '(env -i setsid /bin/sh -c "(setsid sleep 2003 &)" &)',
  'until [ $(pgrep -c -f "^sleep 200[123]$") = 3 ]; do :; done; echo > all-there; tail -f /dev/null',
]
const LEAVING: Scenario = {
  name: 'leaves behind',
  about: 'Starts programs that outlive it.',
  turns: [
    {
      prompt: 'leave something behind',
      steps: [
        {
          use: [
            { tool: 'Bash', input: { command: LEAVES_BEHIND.join('\n'), description: 'Leave' } },
          ],
        },
        { say: 'It ended.' },
      ],
    },
    { prompt: 'go on with the task', steps: [{ say: 'Nothing is left to do.' }] },
  ],
}

/** The door: git over plain files, the model, and a policy that allows one host. */
function serveDoor(server: Server): void {
  server.on('request', (req, res) => {
    const url = req.url ?? ''
    if (url.startsWith('/model')) {
      const headers = { ...req.headers, host: 'model' }
      const target = new URL(url.replace('/model', '') || '/', model.url)
      const onward = request(target, { method: req.method, headers }, (answer) => {
        res.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(res)
      })
      req.pipe(onward)
    } else if (url.startsWith('/git/repository.git/')) {
      const path = url.slice('/git/repository.git/'.length).split('?')[0] ?? ''
      readFile(join(folder, 'upstream.git', path)).then(
        (bytes) => res.end(bytes),
        () => res.writeHead(404).end(),
      )
    } else res.writeHead(404).end('no such door\n')
  })
  server.on('connect', (req, client: Socket) => {
    client.on('error', () => client.destroy())
    if (req.url !== 'allowed.example:80') {
      const head = `HTTP/1.1 403 Forbidden\r\nX-Deny-Reason: host_not_allowed\r\nContent-Length: ${DENIAL.length}`
      client.end(`${head}\r\n\r\n${DENIAL}`)
      return
    }
    const onward = connect((upstream.address() as AddressInfo).port, '127.0.0.1', () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n')
      client.pipe(onward).pipe(client)
    })
    onward.on('error', () => client.destroy())
  })
}

function entryScript(): string {
  const environment = Object.entries(SANDBOX_ENVIRONMENT).map(([name, value]) => `${name}=${value}`)
  const dnat = (match: string, to: number) => `ip daddr ${match} dnat to :${to}`
  return [
    'set -e',
    'mount -t tmpfs none "$1/scratch"',
    'mkdir "$1/scratch/upper" "$1/scratch/work" "$1/scratch/root"',
    'root="$1/scratch/root"',
    'mount -t overlay overlay -o "lowerdir=/,upperdir=$1/scratch/upper,workdir=$1/scratch/work" "$root"',
    'mkdir -p "$root/opt/errand" "$root/run/errand/door" "$root/workspace"',
    'mount --rbind /dev "$root/dev"',
    'mount -t proc proc "$root/proc"',
    'mount --bind "$1/opt" "$root/opt/errand"',
    'mount --bind "$1/door" "$root/run/errand/door"',
    'rm -f "$root/etc/resolv.conf"; echo "nameserver 198.18.0.1" > "$root/etc/resolv.conf"',
    'ip link set lo up',
    // Without an address beside 127.0.0.1 a C library that is asked for IPv4 "as configured" finds no name at all.
    'ip addr add 198.18.0.1/32 dev lo',
    'ip route add local 198.18.0.0/15 dev lo',
    "nft -f - <<'END'",
    'table ip inside {',
    'chain output { type nat hook output priority -100; policy accept;',
    dnat('198.18.0.1 udp dport 53', RUNNER_DNS_PORT),
    dnat('198.18.0.1 tcp dport 53', RUNNER_DNS_PORT),
    ...REDIRECTED_PORTS.map((port) => dnat(`198.18.0.0/15 tcp dport ${port}`, runnerPortFor(port))),
    '}',
    '}',
    'END',
    `exec env -i ${environment.join(' ')} chroot "$root" /bin/sh -c "$2"`,
  ].join('\n')
}

/** Runs a shell command inside, as a turn of its own. */
async function run(text: string): Promise<{ output: string; exitCode: number | null }> {
  const id = newId('turn')
  gateway.direct({ turn: { id, kind: 'command', text, interrupt: false } })
  const { exitCode } = await gateway.wait('turn.completed', ({ turnId }) => turnId === id)
  gateway.direct({ turn: null })
  const output = gateway.ofType('command.output').filter(({ turnId }) => turnId === id)
  return { output: output.map(({ text }) => text).join(''), exitCode }
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-inside-'))
  for (const name of ['opt', 'door', 'scratch']) await mkdir(join(folder, name))
  const sample = await createSampleRepository(join(folder, 'sample'))
  const bare = join(folder, 'upstream.git')
  const env = gitEnvironment()
  await runChecked('git', ['clone', '--quiet', '--bare', sample.path, bare], { env })
  await runChecked('git', ['-C', bare, 'update-server-info'], { env })
  model = await createScriptedModel({ scenarios: [LEAVING, ...loadScenarios()] })
  upstream = createServer((req, res) => res.end(`hello from ${req.headers.host}\n`))
  upstream.listen(0, '127.0.0.1')
  await once(upstream, 'listening')
  await buildRunner(join(folder, 'opt', 'runner'))
  await copyFile(process.execPath, join(folder, 'opt', 'node'))
  await copyFile(claudePath, join(folder, 'opt', 'claude'))
  await chmod(join(folder, 'opt', 'claude'), 0o755)
  const setup = setupFor(sample.commit, { FROM_ENVIRONMENT: 'yes' })
  await writeFile(join(folder, 'opt', 'session.json'), JSON.stringify(setup))
  const start = JSON.parse(
    await readFile(join(folder, 'opt', 'runner', 'agent-start.json'), 'utf8'),
  )
  const script = beforeRunner(setup, start, new Date())
  await writeFile(join(folder, 'opt', 'before-runner.sh'), script)
  gateway = await startFakeGateway(join(folder, 'door', 'gateway.sock'), serveDoor)
  gateway.assign(setup)
  const flags = ['--net', '--mount', '--pid', '--fork', '--kill-child=SIGKILL']
  const entry = ['/bin/sh', '-c', entryScript(), 'inside', folder, PROCESS_ONE]
  inside = spawn('unshare', [...flags, ...entry], { stdio: ['ignore', 'inherit', 'pipe'] })
  inside.stderr?.on('data', (chunk: Buffer) => {
    words += chunk.toString()
  })
  const died = once(inside, 'exit').then(() => {
    throw new Error(`the inside ended: ${words}`)
  })
  died.catch(() => undefined)
  const failed = gateway.wait('phase.failed').then(({ message }) => {
    throw new Error(message)
  })
  failed.catch(() => undefined)
  await Promise.race([gateway.wait('runner.ready'), died, failed])
})

afterAll(async () => {
  inside.kill('SIGKILL')
  await gateway.down()
  upstream.close()
  await model.close()
  await rm(folder, { recursive: true, force: true })
})

describe('the network inside', () => {
  it('reaches an allowed host with no proxy variable', async () => {
    const { output } = await run('env -u HTTP_PROXY -u http_proxy curl -sS http://allowed.example/')
    expect(output).toBe('hello from allowed.example\n')
  })

  it('shows the reason of a denial on port 80, and closes at once on port 443', async () => {
    const http = await run('env -u http_proxy curl -sS -i http://denied.example/')
    expect(http.output).toContain('403 Forbidden')
    expect(http.output).toContain('host_not_allowed')
    const before = performance.now()
    const https = await run('env -u https_proxy -u HTTPS_PROXY curl -sS https://denied.example/')
    expect(https.exitCode).not.toBe(0)
    expect(performance.now() - before).toBeLessThan(2_000)
  })

  it('resolves every name to the local range, and nothing else', async () => {
    const { output } = await run(
      'getent ahostsv4 some.example | head -1; getent hosts name.local; getent ahostsv6 six.example; echo end',
    )
    expect(output).toMatch(/^198\.1[89]\.\d+\.\d+ +STREAM some\.example\nend\n$/)
  })

  it('lets nothing out to an address', async () => {
    const { output } = await run(
      'curl -sS --noproxy "*" -m 5 http://1.1.1.1/; curl -sS --noproxy "*" -m 5 http://169.254.169.254/',
    )
    expect(output.match(/curl: \(7\)/g)?.length).toBe(2)
  })

  it('leaves the usual ports to the servers of the agent', async () => {
    const serve = `node -e "const s=require('http').createServer((q,r)=>{r.end('mine');s.close()}).listen(8080,'0.0.0.0')"`
    const { output } = await run(
      `PATH=/opt/errand:$PATH ${serve} & until curl -s --noproxy '*' http://127.0.0.1:8080/; do :; done; wait`,
    )
    expect(output).toBe('mine')
  })

  it('makes requests to the door wait while the gateway is away', async () => {
    const id = newId('turn')
    const text = 'echo asking; curl -sS http://errand.internal/elsewhere'
    gateway.direct({ turn: { id, kind: 'command', text, interrupt: false } })
    await gateway.wait('command.output', ({ turnId }) => turnId === id)
    await gateway.down()
    await gateway.up()
    await gateway.wait('turn.completed', ({ turnId }) => turnId === id)
    gateway.direct({ turn: null })
  })
})

describe('the work inside', () => {
  it('checked out through the door and keeps the true URL', async () => {
    const { output } = await run(
      'git config remote.origin.url; git status --porcelain --branch; pwd',
    )
    expect(output).toBe('http://forge.example/shop/cart\n## errand/test\n/workspace/cart\n')
  })

  it('works through the door and says why a push failed', async () => {
    const id = newId('turn')
    const text = 'Please make the failing test pass'
    gateway.direct({ turn: { id, kind: 'agent', text, interrupt: false } })
    await gateway.wait('turn.completed', ({ turnId }) => turnId === id)
    gateway.direct({ turn: null })
    expect(gateway.ofType('tool.called').length).toBeGreaterThan(3)
    const [notice] = gateway.ofType('agent.notice').filter(({ kind }) => kind === 'push')
    expect(notice?.text).toContain('The push to errand/test failed.')
  })

  it('is done by the agent that process 1 has started before the runner', async () => {
    const { output } = await run(
      'p=$(pgrep -x claude); q=$(ps -o ppid= $p); ps -o comm= $q; ps -o ppid= $q',
    )
    expect(output.replaceAll(' ', '')).toBe('sh\n1\n')
  })

  it('ends all that a killed agent left behind, and nothing that a person started', async () => {
    await run('setsid sleep 3001 >/dev/null 2>&1 &')
    const id = newId('turn')
    const text = 'leave something behind'
    gateway.direct({ turn: { id, kind: 'agent', text, interrupt: false } })
    const root = `/proc/${await processOne()}/root`
    while (!existsSync(`${root}${SANDBOX_PATHS.workspace}/cart/all-there`)) await delay(50)
    for (const pid of await agentPids()) process.kill(pid, 'SIGKILL')
    await gateway.wait('turn.completed', ({ turnId }) => turnId === id)
    gateway.direct({ turn: null })
    const texts = gateway.ofType('assistant.text').filter(({ turnId }) => turnId === id)
    expect(texts.at(-1)?.text).toBe('Nothing is left to do.')
    const { output } = await run('pgrep -a -x sleep; pgrep -a -x tail; echo end')
    expect(output).toMatch(/^\d+ sleep 3001\nend\n$/)
  })

  it('gives commands the variables of the environment and of the way out', async () => {
    const { output } = await run(
      'echo $FROM_ENVIRONMENT $IS_SANDBOX $ANTHROPIC_API_KEY $HTTPS_PROXY',
    )
    expect(output).toBe('yes 1 errand-placeholder http://errand.internal:80\n')
  })

  it('leaves no zombie and ends within five seconds', async () => {
    await run('(sleep 0.1 & disown) ; (setsid true &) ; sleep 0.3')
    // A program of the runner may have ended just now: only what stays is left behind.
    const zombies = 'grep -q "^State:.*Z" /proc/[0-9]*/status 2>/dev/null'
    await run(`while ${zombies}; do sleep 0.05; done`)
    const { output: pids } = await run('echo $PPID')
    expect(Number(pids)).toBeGreaterThan(1)
    const before = performance.now()
    const ended = once(inside, 'exit')
    await runChecked('nsenter', [
      '-t',
      String(await processOne()),
      '-p',
      '-m',
      'kill',
      '-TERM',
      '1',
    ])
    expect((await ended)[0]).toBe(0)
    expect(performance.now() - before).toBeLessThan(5_000)
  })
})

/** The agent, as seen from outside. */
async function agentPids(): Promise<number[]> {
  const own = await readlink(`/proc/${await processOne()}/ns/pid`)
  const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0)
  const answers = await Promise.all(
    pids.map(async (pid) => {
      const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      const space = await readlink(`/proc/${pid}/ns/pid`).catch(() => '')
      return space === own && line.startsWith(`${SANDBOX_PATHS.agent}\0`)
    }),
  )
  return pids.filter((_, index) => answers[index])
}

/** The pid, seen from outside, of process 1 inside: the only child of `unshare`. */
async function processOne(): Promise<number> {
  const path = `/proc/${inside.pid}/task/${inside.pid}/children`
  return Number((await readFile(path, 'utf8')).trim())
}
