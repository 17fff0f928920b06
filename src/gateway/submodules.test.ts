import { describe, expect, it } from 'vitest'
import type { AdditionalState, Repository } from '../protocol/session.ts'
import type { Credential } from '../store/credentials.ts'
import { createSubmodules, type SubmoduleState, type SubmodulesDeps } from './submodules.ts'

const SESSION = 's_abcdefghijklmnopqrst'
const remote = { kind: 'remote', url: '', credentialId: null } as const
const main = {
  ...{ source: remote, name: 'shop', url: 'https://forge.example/team/shop.git' },
  ...{ commit: 'a'.repeat(40), branch: 'errand/x' },
} as Repository
const STATE: SubmoduleState = { id: SESSION, ownerId: 'ann', repository: main, additional: [] }

const NAMED: Record<string, string[]> = {
  '': [
    ...['../lib.git', 'https://mods.example/other', 'https://open.example/free'],
    ...['https://forge.example:8443/team/port', 'ext::sh -c id', 'git@forge.example:team/ssh'],
  ],
  extra: ['./below', '../lib.git'],
}
const KEPT: Record<string, string> = { 'forge.example': 'key-forge', 'mods.example': 'key-mods' }

function setUp(change: Partial<SubmodulesDeps> = {}) {
  const asked: string[] = []
  const submodules = createSubmodules({
    git: {
      submodules: async ({ repository }) => {
        asked.push(repository ?? '')
        return { urls: NAMED[repository ?? ''] ?? [] }
      },
    },
    credentials: {
      find: async (ownerId, host, kind) =>
        ownerId === 'ann' && kind === 'https' && KEPT[host] !== undefined
          ? ({ id: `c_${host}`, ownerId, host, username: 'u' } as Credential)
          : undefined,
      openSecret: async (_owner, id) => KEPT[id.slice(2)] ?? '',
    },
    allows: (_session, host) => host !== 'closed.example',
    onProblem: () => undefined,
    ...change,
  })
  const at = async (host: string, { state = STATE, isOwn = false, port = 443 } = {}) => {
    const found = await submodules.at(state, { host, port, isOwn })
    const each = [...found].map(async ([path, one]) => [path, (await one.credential())?.secret])
    return Object.fromEntries(await Promise.all(each))
  }
  return { at, asked, submodules }
}

describe('createSubmodules', () => {
  it('reads at each host with the credential of that host', async () => {
    const { at } = setUp()
    expect(await at('forge.example', { isOwn: true })).toEqual({ '/team/lib': 'key-forge' })
    expect(await at('mods.example')).toEqual({ '/other': 'key-mods' })
    expect(await at('forge.example', { port: 8443 })).toEqual({ '/team/port': 'key-forge' })
  })

  it('leaves to the network rules what they refuse, and hosts that the owner has no credential for', async () => {
    expect(await setUp().at('open.example')).toEqual({})
    const { at } = setUp({ allows: () => false })
    expect(await at('mods.example')).toEqual({})
    expect(await at('forge.example', { isOwn: true })).toEqual({ '/team/lib': 'key-forge' })
    const bob = { ...STATE, ownerId: 'bob' }
    expect(await setUp().at('mods.example', { state: bob })).toEqual({})
    const anonymous = await setUp().at('forge.example', { state: bob, isOwn: true })
    expect(anonymous).toEqual({ '/team/lib': undefined })
  })

  it('asks once for each commit, of each repository, and again after a failure', async () => {
    const { at, asked, submodules } = setUp()
    await Promise.all([at('x.example'), at('forge.example')])
    expect(asked).toEqual([''])
    const extra = { ...main, name: 'extra', access: 'read' } as AdditionalState
    const two = { ...STATE, additional: [extra] }
    expect(await at('forge.example', { state: two, isOwn: true })).toEqual({
      ...{ '/team/lib': 'key-forge', '/team/shop.git/below': 'key-forge' },
    })
    expect(asked).toEqual(['', '', 'extra'])
    submodules.forget(SESSION)
    await at('x.example')
    expect(asked).toHaveLength(4)
    let tries = 0
    const failing = setUp({
      git: {
        submodules: async () =>
          tries++ === 0 ? Promise.reject(new Error('down')) : { urls: ['../lib'] },
      },
    })
    expect(await failing.at('forge.example', { isOwn: true })).toEqual({})
    expect(await failing.at('forge.example', { isOwn: true })).toEqual({ '/team/lib': 'key-forge' })
  })

  it('leaves all to the network rules while credentials cannot be looked up', async () => {
    const problems: unknown[] = []
    const { at } = setUp({
      credentials: {
        find: () => Promise.reject(new Error('no database')),
        openSecret: async () => '',
      },
      onProblem: (_session, error) => problems.push(error),
    })
    expect(await at('forge.example', { isOwn: true })).toEqual({})
    expect(problems).toHaveLength(1)
  })

  it('goes by no commit that another session may have made, or that is not known yet', async () => {
    const { at, asked } = setUp()
    const source = { kind: 'session', sessionId: SESSION } as const
    for (const repository of [
      { ...main, source },
      { ...main, commit: null },
    ])
      expect(await at('forge.example', { state: { ...STATE, repository }, isOwn: true })).toEqual(
        {},
      )
    expect(asked).toEqual([])
  })
})
