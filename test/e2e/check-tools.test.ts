// check-tools, inside a sandbox and from outside: what is there with its version, and what the session's level reaches.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSampleRepository } from '../../demo/repository.ts'
import { KNOWN_TOOLS } from '../../src/tools/known-tools.ts'
import { errorOf, jsonOf, runCommand } from './command.ts'
import { eventsOf, type Installation, startInstallation } from './installation.ts'
import { runInside, toolOutputs } from './transcript.ts'
import { linkUniversal } from './universal.ts'

interface Checked {
  level: string | null
  tools: {
    name: string
    version: string | null
    path: string | null
    registry: { url: string; reachable: boolean | null; reason: string | null } | null
  }[]
}

let errand: Installation
let folder: string
let universal: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-tools-'))
  const repository = join(folder, 'cart')
  await createSampleRepository(repository)
  errand = await startInstallation()
  await linkUniversal(errand.dataDir)
  const image = { kind: 'named' as const, name: 'universal' }
  const { id: environment } = await errand.client.createEnvironment({ name: 'universal', image })
  const { id } = await errand.start(repository, 'echo ready', { kind: 'command', environment })
  expect(eventsOf(await errand.finish(id), 'session.failed')).toEqual([])
  universal = id
})
afterAll(async () => {
  await errand?.stop()
  await rm(folder, { recursive: true, force: true })
})

const TWO_SECONDS = 2_000
/** What the image says of itself that it does not have. */
const NOT_IN_UNIVERSAL = ['bun', 'docker']

async function check(id: string, before = ''): Promise<Checked> {
  const said = await runInside(errand, id, `${before} check-tools --json`)
  return JSON.parse(said)
}

const outside = (environment: string) =>
  runCommand(['check-tools', '--environment', environment, '--json'], {
    env: { ERRAND_URL: errand.url, ERRAND_TOKEN: errand.token },
  })

const found = ({ tools }: Checked, name: string) => tools.find((tool) => tool.name === name)

describe('check-tools inside universal', () => {
  it('finds every tool with its version, within two seconds also the first time', async () => {
    const timed =
      'a=$(date +%s%N); check-tools --json >/tmp/tools; b=$(date +%s%N); echo $(((b - a) / 1000000))'
    const said = await runInside(errand, universal, `${timed}; cat /tmp/tools`)
    const [took = '', json = ''] = said.split('\n')
    const { level, tools }: Checked = JSON.parse(json)
    expect(level).toBe('trusted')
    expect(tools.map(({ name }) => name)).toEqual(KNOWN_TOOLS.map(({ name }) => name))
    expect(tools.filter(({ path }) => path === null).map(({ name }) => name)).toEqual(
      NOT_IN_UNIVERSAL,
    )
    expect(tools.filter(({ path, version }) => path !== null && version === null)).toEqual([])
    expect(Number(took)).toBeLessThan(TWO_SECONDS)
  })

  it('names the registry of each package manager and that level trusted allows it', async () => {
    const { tools } = await check(universal)
    const managers = tools.filter(({ path, registry }) => path !== null && registry !== null)
    expect(managers.map(({ name }) => name)).toEqual(
      KNOWN_TOOLS.filter(({ name, registry }) => registry && name !== 'bun').map(
        ({ name }) => name,
      ),
    )
    expect(managers.filter(({ registry }) => registry?.reachable !== true)).toEqual([])
  })

  it('sees another registry of the user, and that the level does not allow it', async () => {
    const before = "echo 'registry=https://npm.denied.example/' >~/.npmrc;"
    expect(found(await check(universal, before), 'npm')?.registry).toEqual({
      url: 'https://npm.denied.example/',
      reachable: false,
      reason: 'host_not_allowed',
    })
    await runInside(errand, universal, 'rm ~/.npmrc')
  })

  it('shows at once that a tool is gone, and what another one says of its version now', async () => {
    const before = `rm /usr/bin/jq; printf '#!/bin/sh\necho git version 9.9.9\n' >/usr/local/bin/git; chmod +x /usr/local/bin/git;`
    const checked = await check(universal, before)
    expect(found(checked, 'jq')).toMatchObject({ path: null, version: null })
    expect(found(checked, 'git')).toMatchObject({ path: '/usr/local/bin/git', version: '9.9.9' })
  })
})

it('is what the agent runs when it is asked to, and told of before', async () => {
  const { id } = await errand.start(join(folder, 'cart'), 'Run check-tools, please.')
  const [said = ''] = toolOutputs(await errand.finish(id))
  expect(said).toMatch(/^ *python +3\.\d+\.\d+ +\//m)
  expect(said).toMatch(/^ *npm +\d.* \(allowed\)$/m)
  await errand.client.removeSession(id)
})

describe('errand check-tools', () => {
  it('looks at a sandbox of an environment, with its own level, and leaves no session', async () => {
    const network = { level: 'none' as const, domains: [], includeTrusted: false }
    await errand.client.createEnvironment({ name: 'closed', network })
    const checked = jsonOf<Checked>(await outside('closed'))
    expect(checked.level).toBe('none')
    expect(found(checked, 'git')?.path).toBe('/usr/bin/git')
    expect(found(checked, 'npm')?.registry).toMatchObject({
      reachable: false,
      reason: 'level_none',
    })
    const { sessions } = await errand.client.listSessions({ archived: true, limit: 100 })
    expect(sessions.map(({ id }) => id)).toEqual([universal])
  })

  it('says which command builds an image that is not there', async () => {
    const image = { kind: 'named' as const, name: 'not-built' }
    await errand.client.createEnvironment({ name: 'without', image })
    const { reason, message } = errorOf(await outside('without'))
    expect(reason).toBe('image_not_built')
    expect(message).toContain('errand image build not-built')
  })
})
