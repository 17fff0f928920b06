// API credentials in a whole installation: a private registry that demands a token gives it to real npm, pip and Maven inside a
// sandbox that has none, at a level that lists nothing; the value is nowhere inside and in nothing that is stored.
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createSampleRepository } from '../../demo/repository.ts'
import { createLeaves, makeAuthority } from '../../src/egress/tls/authority.ts'
import { runChecked } from '../../src/lib/process.ts'
import { eventsOf, type Installation, startInstallation } from './installation.ts'
import { createIsland, type Island } from './island.ts'
import { everythingSaid, runInside, searchCommand } from './transcript.ts'

const HOST = 'registry.errand.test'
const TOKEN = 'tok-Pr1vate/registry+0123456789'
/** Maven knows nothing of proxy variables: one that is carried to the gateway as it is. */
const PORT = 8443
const WHEEL = 'errand_probe-1.0.0-py3-none-any.whl'

let island: Island
let errand: Installation
let folder: string
let registry: Server
let sessionId: string
/** Authorization of each request that came. */
const seen: string[] = []

/** Of npm, pip and Maven at once; nothing without the token. */
async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { authorization = '' } = request.headers
  seen.push(authorization)
  const isMine = [`Bearer ${TOKEN}`, basic(TOKEN)].includes(authorization)
  if (!isMine) return void response.writeHead(401).end('who are you?\n')
  const at = `https://${HOST}:${PORT}`
  const files: Record<string, () => Promise<string | Buffer>> = {
    '/npm/errand-probe': async () =>
      JSON.stringify({
        ...{ name: 'errand-probe', 'dist-tags': { latest: '1.0.0' } },
        versions: {
          '1.0.0': {
            ...{ name: 'errand-probe', version: '1.0.0' },
            dist: { tarball: `${at}/npm/errand-probe-1.0.0.tgz` },
          },
        },
      }),
    '/npm/errand-probe-1.0.0.tgz': () => readFile(join(folder, 'probe.tgz')),
    '/simple/errand-probe/': async () => `<a href="${at}/files/${WHEEL}">${WHEEL}</a>`,
    [`/files/${WHEEL}`]: () => readFile(join(folder, WHEEL)),
    '/maven/org/example/probe/1.0.0/probe-1.0.0.pom': async () => pom('probe', ''),
    '/echo': async () => `you are ${authorization}\n`,
  }
  const file = files[request.url ?? '']
  if (!file) return void response.writeHead(404).end()
  if (request.url?.startsWith('/simple')) response.setHeader('content-type', 'text/html')
  response.end(await file())
}

/** A project that is built without any plugin. */
function pom(name: string, more: string): string {
  return `<project><modelVersion>4.0.0</modelVersion><groupId>org.example</groupId>
<artifactId>${name}</artifactId><version>1.0.0</version><packaging>pom</packaging>${more}</project>`
}

function basic(password: string): string {
  return `Basic ${Buffer.from(`ann:${password}`).toString('base64')}`
}

async function makePackages(): Promise<void> {
  const inside = join(folder, 'package')
  await mkdir(inside)
  const manifest = { name: 'errand-probe', version: '1.0.0', main: 'index.js' }
  await writeFile(join(inside, 'package.json'), JSON.stringify(manifest))
  await writeFile(join(inside, 'index.js'), "module.exports = 'npm works'\n")
  await runChecked('tar', ['-czf', join(folder, 'probe.tgz'), '-C', folder, 'package'])
  const script = `import zipfile, sys
z = zipfile.ZipFile(sys.argv[1], 'w')
info = 'errand_probe-1.0.0.dist-info/'
z.writestr('errand_probe.py', 'said = "pip works"\\n')
z.writestr(info + 'METADATA', 'Metadata-Version: 2.1\\nName: errand-probe\\nVersion: 1.0.0\\n')
z.writestr(info + 'WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
z.writestr(info + 'RECORD', '')
z.close()`
  await runChecked('/usr/bin/python3', ['-c', script, join(folder, WHEEL)])
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-credentials-'))
  await makePackages()
  const outside = await makeAuthority(Date.now())
  const caFile = join(folder, 'outside.pem')
  await writeFile(caFile, outside.certificate)
  const { key, cert } = await (await createLeaves(outside, Date.now))(HOST)
  registry = createServer({ key, cert }, (request, response) => void answer(request, response))
  island = await createIsland({ hosts: { [HOST]: 'outside' } })
  registry.listen(PORT, island.outside)
  await once(registry, 'listening')
  errand = await startInstallation({
    island,
    env: { ERRAND_ALLOWED_NETWORKS: `${HOST}=${island.network}`, NODE_EXTRA_CA_CERTS: caFile },
  })
  const repository = join(folder, 'cart')
  await createSampleRepository(repository)
  const made = await errand.start(repository, 'echo ready', {
    kind: 'command',
    network: { level: 'none' },
  })
  sessionId = made.id
  expect(eventsOf(await errand.finish(sessionId), 'session.failed')).toEqual([])
})
afterAll(async () => {
  await errand?.stop()
  registry?.close()
  await island?.remove()
  await rm(folder, { recursive: true, force: true })
})

const curl = (path: string, options = '') =>
  runInside(errand, sessionId, `curl -sS ${options} https://${HOST}:${PORT}${path} 2>&1; echo`)

it('is of no use to a session before it is kept, and at once after that', async () => {
  expect(await curl('/echo')).toMatch(/403/)
  expect(seen).toEqual([])
  await errand.client.createCredential({
    ...{ host: `${HOST}:${PORT}`, kind: 'bearer', secret: TOKEN },
    binding: { name: 'registry', variable: 'REGISTRY_TOKEN', otherHosts: [] },
  })
  await expect.poll(async () => curl('/npm/errand-probe'), { timeout: 20_000 }).toContain('dist')
  expect(new Set(seen)).toEqual(new Set([`Bearer ${TOKEN}`]))
})

it('gives real npm and pip their packages', async () => {
  const npm = `mkdir -p /tmp/n && cd /tmp/n && npm install --no-audit --no-fund --no-update-notifier \\
--registry https://${HOST}:${PORT}/npm/ errand-probe 2>&1 && node -p "require('errand-probe')"`
  expect(await runInside(errand, sessionId, npm)).toContain('npm works')
  const pip = `/usr/bin/python3 -m pip install --disable-pip-version-check --break-system-packages --target /tmp/q \\
--index-url https://${HOST}:${PORT}/simple/ errand-probe 2>&1; cd /tmp/q && /usr/bin/python3 -c 'import errand_probe; print(errand_probe.said)'`
  expect(await runInside(errand, sessionId, pip)).toContain('pip works')
})

it('gives Maven what a project is built on', async () => {
  const from = `<repository><id>mine</id><url>https://${HOST}:${PORT}/maven/</url></repository>`
  const parent = `<groupId>org.example</groupId><artifactId>probe</artifactId><version>1.0.0</version>`
  const project = pom(
    'own',
    `<parent>${parent}<relativePath/></parent><repositories>${from}</repositories>`,
  )
  const maven = `mkdir -p /tmp/m && cd /tmp/m && cat > pom.xml <<'END'
${project}
END
mvn --batch-mode -Dmaven.repo.local=/tmp/m/kept validate 2>&1`
  const said = await runInside(errand, sessionId, maven)
  expect(said).toContain(`Downloaded from mine: https://${HOST}:${PORT}/maven/org/example/probe/`)
  expect(said).toContain('BUILD SUCCESS')
})

it('is trusted inside by git and OpenSSL as well', async () => {
  const text = `echo | openssl s_client -connect ${HOST}:${PORT} -proxy errand.internal:80 -servername ${HOST} 2>&1 | grep 'Verify return'
git ls-remote https://${HOST}:${PORT}/none.git 2>&1`
  const said = await runInside(errand, sessionId, text)
  expect(said).toContain('Verify return code: 0 (ok)')
  expect(said).toMatch(/not found/)
})

it('is nowhere inside', async () => {
  expect(await runInside(errand, sessionId, searchCommand([TOKEN]))).toBe('searched\n')
})

it('is in nothing that is stored, also when a host sends it back', async () => {
  expect(await curl('/echo')).toContain('you are Bearer [redacted]')
  const base64 = Buffer.from(`x${TOKEN}`).toString('base64').slice(2, -4)
  await runInside(errand, sessionId, `curl -sS https://${HOST}:${PORT}/echo | base64; true`)
  const said = await everythingSaid(errand, sessionId)
  for (const form of [TOKEN, Buffer.from(TOKEN).toString('hex'), base64])
    expect(said).not.toContain(form)
  expect(errand.logged()).not.toContain(TOKEN)
})

it('is a placeholder in its variable, which the gateway replaces', async () => {
  const { id } = await errand.start(join(folder, 'cart'), 'echo ready', {
    ...{ kind: 'command', network: { level: 'none' } },
  })
  await errand.finish(id)
  const text = `echo $REGISTRY_TOKEN; curl -sS -u ann:$REGISTRY_TOKEN -o /dev/null -w '%{http_code}\\n' https://${HOST}:${PORT}/echo`
  expect(await runInside(errand, id, text)).toMatch(/^errand-placeholder-c_[a-z2-7]{20}\n200\n$/)
  expect(seen.at(-1)).toBe(basic(TOKEN))
})
