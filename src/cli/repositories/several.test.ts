// Several repositories on the command line: how they are named, what is asked for, what is shown of each.
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Client } from '../../client/client.ts'
import type { Diff } from '../../protocol/api.ts'
import { environmentSchema } from '../../protocol/environment.ts'
import {
  type PushGrantChange,
  type SessionState,
  sessionStateSchema,
} from '../../protocol/session.ts'
import { createTestCli } from '../cli.fixture.ts'
import { fittingIn, namedIn } from './session-repositories.ts'
import { splitBranch } from './sources.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-several-'))
  for (const name of ['shop', 'a@b', 'a']) await mkdir(join(folder, name))
})
afterAll(() => rm(folder, { recursive: true }))

const SESSION = `s_${'a'.repeat(20)}`
const at = '2026-01-01T00:00:00.000Z'
const repository = (name: string) => ({
  ...{ name, url: `https://git.example/${name}`, baseBranch: 'main', branch: 'errand/x' },
  ...{ source: { kind: 'remote', url: `https://git.example/${name}` }, commit: 'a'.repeat(40) },
})
const kept = { state: 'kept', message: 'no answer', nextAt: null }
const none = { state: 'none', message: '', nextAt: null }
const counts = { commit: 'b'.repeat(40), filesChanged: 1, insertions: 2, deletions: 3 }

function state(): SessionState {
  return sessionStateSchema.parse({
    ...{ id: SESSION, ownerId: 'o', title: 't', status: 'idle', createdAt: at, updatedAt: at },
    ...{ lastSeq: 1, repository: repository('shop'), driver: 'oci', mode: 'work', model: null },
    additional: [
      {
        ...{ ...repository('lib'), access: 'write', changes: counts, outward: kept },
        pushGrants: { branches: ['side'], rewrite: true },
      },
      { ...repository('docs'), access: 'read', changes: null, outward: none },
    ],
    environment: environmentSchema.parse({ id: `e_${'a'.repeat(20)}`, name: 'Default' }),
    sandbox: { state: 'ready', generation: 1, isolation: null, phases: [] },
    ...{ turn: null, queue: [], questions: [], answers: {}, lastTurn: null, changes: null },
    usage: {
      ...{ requests: 0, inputTokens: 0, outputTokens: 0, cacheReadTokens: 0 },
      ...{ cacheCreationTokens: 0, costUsd: null },
    },
    ...{ outward: none, failure: null, pushGrants: { branches: [], rewrite: false } },
  })
}

function createErrand() {
  const created: unknown[] = []
  const asked: (string | undefined)[] = []
  const granted: PushGrantChange[] = []
  const client: Partial<Client> = {
    createSession: async (fields) => {
      created.push(fields)
      return state()
    },
    getSession: async () => state(),
    changeGrants: async (_id, change) => {
      granted.push(change)
      return state()
    },
    getDiff: async (_id, name): Promise<Diff> => {
      asked.push(name)
      const base = { base: 'a'.repeat(40), commits: [], truncated: false }
      return name === 'lib'
        ? { ...base, ...counts, head: counts.commit, files: [], patch: 'diff of lib\n' }
        : { ...base, head: base.base, insertions: 0, deletions: 0, files: [], patch: '' }
    },
  }
  return { created, asked, granted, cli: createTestCli({ client, cwd: folder }) }
}

describe('a repository with a branch behind it', () => {
  it.each([
    ['https://git.example/a/b', undefined],
    ['https://git.example/a/b@feature/x', 'feature/x'],
    ['https://ann@git.example/a/b.git', undefined],
    ['https://ann:pw@git.example/a/b.git@dev', 'dev'],
    ['https://git.example/@ann/b', undefined],
    ['git@git.example:a/b.git', undefined],
    ['git@git.example:a/b.git@v1@2', 'v1@2'],
    ['ssh://git@git.example/a/b@dev', 'dev'],
    ['shop', undefined],
    ['shop@dev/x', 'dev/x'],
    ['a@b', undefined],
    ['a@b@dev', 'dev'],
    ['a@c', 'c'],
    ['absent@dev', undefined],
  ])('%s', async (text, branch) => {
    const found = await splitBranch(text, folder)
    expect(found.branch).toBe(branch)
    expect([found.repository, found.branch].filter(Boolean).join('@')).toBe(text)
  })
})

describe('errand run', () => {
  const url = (name: string) => `https://git.example/${name}`

  it('asks for the first as the main one, and for the others as they were named', async () => {
    const { cli, created } = createErrand()
    const named = ['--repo', `${url('shop')}@dev`, '--repo', url('lib'), '--detach']
    expect(await cli.run('run', 'x', ...named, '--repo-read-only', `${url('docs')}@v1`)).toBe(0)
    expect(created).toMatchObject([
      {
        ...{ source: { kind: 'remote', url: url('shop') }, baseBranch: 'dev' },
        additional: [
          { source: { url: url('lib') }, baseBranch: null, access: 'write' },
          { source: { url: url('docs') }, baseBranch: 'v1', access: 'read' },
        ],
      },
    ])
  })

  it('says what it cannot do before anything is sent', async () => {
    const { cli, created } = createErrand()
    const many = Array.from({ length: 11 }, (_, index) => ['--repo', url(`r${index}`)]).flat()
    expect(await cli.run('run', 'x', ...many)).toBe(2)
    expect(await cli.run('run', 'x', '--repo', `${url('a')}@b`, '--branch', 'c')).toBe(2)
    expect(created).toEqual([])
    expect(cli.stderr.text()).toMatch(/at most 10 repositories[\s\S]*say the branch once/)
  })
})

describe('what is shown of each', () => {
  it('is told by show', async () => {
    const { cli } = createErrand()
    expect(await cli.run('show', SESSION)).toBe(0)
    expect(cli.stdout.text()).toMatch(
      /lib: https:\/\/git.example\/lib from aaaaaaaaaa, 1 file, \+2 −3\nmay push +its branch anew, side\noutside .*no answer[\s\S]*docs: .*read only\nmodel/,
    )
  })

  it('is told by diff, of all or of one', async () => {
    const { cli, asked } = createErrand()
    expect(await cli.run('diff', SESSION)).toBe(0)
    expect(cli.stdout.text()).toBe('# shop\n# lib\ndiff of lib\n')
    expect(asked).toEqual([undefined, 'lib'])
    const one = createErrand().cli
    expect(await one.run('diff', SESSION, '--repository', 'lib')).toBe(0)
    expect(one.stdout.text()).toBe('diff of lib\n')
    expect(await one.run('diff', SESSION, '--repository', 'other')).toBe(5)
    expect(one.stderr.text()).toContain('it has: shop, lib, docs')
    const json = createErrand().cli
    expect(await json.run('diff', SESSION, '--json')).toBe(0)
    expect(JSON.parse(json.stdout.text())).toMatchObject({
      ...{ repository: 'shop', patch: '' },
      additional: [{ repository: 'lib', head: counts.commit }],
    })
  })
})

describe('errand grant', () => {
  it('names the repository that it is about; the main one has no name for the server', async () => {
    const { cli, granted } = createErrand()
    expect(await cli.run('grant', SESSION, 'side', '--repository', 'lib')).toBe(0)
    expect(cli.stdout.text()).toContain('may push in lib to errand/x (and rewrite it), side')
    expect(await cli.run('grant', SESSION, '--repository', 'lib', '--rewrite')).toBe(0)
    expect(await cli.run('grant', SESSION, 'a', '--revoke', '--repository', 'shop')).toBe(0)
    expect(await cli.run('grant', SESSION, 'a')).toBe(0)
    expect(cli.stdout.text()).toMatch(/may push to errand\/x\n$/)
    expect(granted.map((change) => JSON.parse(JSON.stringify(change)))).toEqual([
      { grant: 'side', repository: 'lib' },
      { rewrite: true, repository: 'lib' },
      ...[{ revoke: 'a' }, { grant: 'a' }],
    ])
  })

  it('says which repositories there are before anything is asked', async () => {
    const { cli, granted } = createErrand()
    expect(await cli.run('grant', SESSION, 'side', '--repository', 'other')).toBe(5)
    expect(cli.stderr.text()).toContain('it has: shop, lib, docs')
    expect(granted).toEqual([])
  })
})

describe('the repository that is meant', () => {
  it('is the named one, or what a folder holds by its origin, by its name, or the main one', () => {
    expect(namedIn(state(), 'shop')).toBeUndefined()
    expect(namedIn(state(), 'lib')).toBe('lib')
    const chosen = (origin: string | null, name: string) => fittingIn(state(), { origin, name })
    expect(chosen('https://git.example/lib.git', 'shop')).toBe('lib')
    expect(chosen('https://git.example/shop', 'lib')).toBeUndefined()
    expect(chosen(null, 'lib')).toBe('lib')
    expect(chosen(null, 'shop')).toBeUndefined()
    expect(chosen('https://else.example/x', 'x')).toBeUndefined()
  })
})
