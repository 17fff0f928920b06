import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runChecked } from '../lib/process.ts'
import type { ReachAnswer } from '../protocol/reach.ts'
import { findRegistryStates, type RegistryDeps } from './registries.ts'

let home: string

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'errand-registries-'))
  await mkdir(join(home, 'work'))
})
afterEach(() => rm(home, { recursive: true, force: true }))

const IMAGE = [
  { tool: 'npm', url: 'https://npm.example/', host: 'npm.example', port: 443, from: 'npm itself' },
  {
    tool: 'pip',
    url: 'https://pip.example/simple',
    host: 'pip.example',
    port: 443,
    from: 'pip itself',
  },
]

/** A gateway that allows the image's registries and nothing else. */
const gateway =
  (asked: string[] = []): NonNullable<RegistryDeps['ask']> =>
  async (questions) => {
    asked.push(...questions)
    const known = IMAGE.map(({ host, port }) => [`${host}:${port}`, null])
    const denied = questions.map((text) => [text, 'host_not_allowed'])
    const reach: ReachAnswer['reach'] = Object.fromEntries([...denied, ...known])
    return { level: 'trusted', registries: IMAGE, reach }
  }

const states = (ask: RegistryDeps['ask'], env: Record<string, string> = {}) =>
  findRegistryStates({ env, home, cwd: join(home, 'work'), ask })

describe('registries inside', () => {
  it('are found though a file that could name one is a pipe', async () => {
    // Nobody ever writes to it.
    await runChecked('mkfifo', [join(home, 'work', '.npmrc')])
    await writeFile(join(home, '.npmrc'), 'registry=https://user.example/\n')
    expect((await states(null)).of('npm')?.url).toBe('https://user.example/')
  })

  it('are those of the image, as the gateway tells', async () => {
    const { level, of } = await states(gateway())
    expect(level).toBe('trusted')
    expect(of('npm')).toEqual({ url: 'https://npm.example/', reachable: true, reason: null })
    expect(of('cargo')).toBeUndefined()
  })

  it('are those that the project, the user or a variable name, the stronger first, and the gateway judges them', async () => {
    await writeFile(join(home, '.npmrc'), 'registry=https://user.example/\n')
    const asked: string[] = []
    expect((await states(gateway(asked))).of('npm')).toEqual({
      url: 'https://user.example/',
      reachable: false,
      reason: 'host_not_allowed',
    })
    expect(asked).toEqual(['user.example:443'])
    await writeFile(join(home, 'work/.npmrc'), 'registry=https://project.example/\n')
    expect((await states(gateway())).of('npm')?.url).toBe('https://project.example/')
    const env = { npm_config_registry: 'https://secret:word@variable.example:8443/' }
    expect((await states(gateway(), env)).of('npm')?.url).toBe('https://variable.example:8443/')
  })

  it('are shown without a verdict where no gateway answers', async () => {
    const failing = () => Promise.reject(new Error('no door'))
    for (const ask of [null, failing]) {
      const { level, of } = await states(ask, { GOPROXY: 'https://go.example,direct' })
      expect(level).toBeNull()
      expect(of('go')).toEqual({ url: 'https://go.example/', reachable: null, reason: null })
      expect(of('npm')).toBeUndefined()
    }
  })
})
