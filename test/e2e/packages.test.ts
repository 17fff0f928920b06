// Package managers inside a sandbox at level trusted, with nothing configured in the repository: each really installs a package
// from its registry through the gateway, and each language of the image universal builds and tests a small project. Real
// registries, those that this machine is set up for: where one cannot be reached the test fails.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSampleRepository } from '../../demo/repository.ts'
import type { Image } from '../../src/protocol/environment.ts'
import { eventsOf, type Installation, startInstallation } from './installation.ts'
import { INSTALLS, PROJECTS } from './projects.ts'
import { runInside } from './transcript.ts'
import { linkUniversal } from './universal.ts'

const DIRECT =
  'unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY no_proxy NO_PROXY JAVA_TOOL_OPTIONS'
/** Programs that run for seconds gain nothing from code that is compiled once more, better, and from a collector with threads. */
const SHORT_LIVED =
  'export MAVEN_OPTS="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"; export GRADLE_OPTS="$MAVEN_OPTS"'
/** Maven ends with a change of colour. */
const WORKS = /it works$/m
const LIMIT_MS = 240_000
/** In the order of the file: a session does one thing at a time. The two sessions work beside each other. */
const IN_ORDER = { timeout: LIMIT_MS, concurrent: false }

let errand: Installation
let folder: string
let universal: string
let host: string

async function sessionOn(image: Image): Promise<string> {
  const { id: environment } = await errand.client.createEnvironment({ name: image.kind, image })
  const repository = join(folder, image.kind)
  await createSampleRepository(repository)
  const { id } = await errand.start(repository, 'echo ready', { kind: 'command', environment })
  expect(eventsOf(await errand.finish(id), 'session.failed')).toEqual([])
  return id
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-packages-'))
  errand = await startInstallation()
  await linkUniversal(errand.dataDir)
  universal = await sessionOn({ kind: 'named', name: 'universal' })
  host = await sessionOn({ kind: 'host' })
}, LIMIT_MS)
afterAll(async () => {
  await errand?.stop()
  await rm(folder, { recursive: true, force: true })
})

/** Each in a folder of its own; `set -e` makes the first command that fails the last one. */
function script(name: string, text: string): string {
  return `mkdir -p /tmp/p/${name}; cd /tmp/p/${name}; ${SHORT_LIVED}; ( set -e\n${text}\necho "it works" ) 2>&1`
}

const PROJECT_NAMES = Object.keys(PROJECTS)

describe.concurrent('in universal', () => {
  it.for(PROJECT_NAMES)('%s builds and tests a project', IN_ORDER, async (name) => {
    const said = await runInside(errand, universal, script(name, PROJECTS[name] ?? ''))
    expect(said).toMatch(WORKS)
  })

  it.for(Object.keys(INSTALLS))('%s needs no proxy variables', IN_ORDER, async (name) => {
    const said = await runInside(
      errand,
      universal,
      script(`direct-${name}`, `${DIRECT}\n${INSTALLS[name]}`),
    )
    expect(said).toMatch(WORKS)
  })

  it('apt-get installs a package with proxy variables', IN_ORDER, async () => {
    const said = await runInside(errand, universal, script('apt', INSTALLS['apt-get'] ?? ''))
    expect(said).toMatch(WORKS)
  })

  it('has databases that are stopped until somebody starts them', IN_ORDER, async () => {
    const text = `! pgrep -x postgres; ! pgrep -x redis-server
service postgresql start && service redis-server start
su postgres -c "psql --tuples-only --command 'select 40 + 2'" | grep 42
redis-cli ping | grep PONG
service postgresql stop && service redis-server stop`
    expect(await runInside(errand, universal, script('databases', text))).toMatch(WORKS)
  })

  it('has a browser with fonts', IN_ORDER, async () => {
    const page = 'data:text/html,<p id=p></p><script>p.textContent=6*7</script>'
    const text = `chromium --headless --dump-dom "${page}" 2>/dev/null | grep '>42<'
fc-list | grep -qi emoji`
    expect(await runInside(errand, universal, script('browser', text))).toMatch(WORKS)
  })
})

describe.concurrent('in host', () => {
  const names = Object.keys(INSTALLS).filter((name) => name !== 'apt-get' && name !== 'uv')
  const ways = { 'with proxy variables': '', 'without proxy variables': `${DIRECT}\n` }
  const cases = names.flatMap((name) => Object.keys(ways).map((way) => [name, way] as const))
  it.for(cases)('%s installs a package %s', IN_ORDER, async ([name, way]) => {
    const before = `${ways[way as keyof typeof ways]}PATH=$PATH:/usr/local/go/bin`
    const text = script(`${name}-${way.replaceAll(' ', '-')}`, `${before}\n${INSTALLS[name]}`)
    expect(await runInside(errand, host, text)).toMatch(WORKS)
  })
})
