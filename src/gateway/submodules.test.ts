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

const named = (urls: string[]) => ({
  submodules: urls.map((url) => ({ url, commit: null })),
})

function setUp(change: Partial<SubmodulesDeps> = {}) {
  const asked: string[] = []
  const submodules = createSubmodules({
    git: {
      submodules: async ({ repository }) => {
        asked.push(repository ?? '')
        return named(NAMED[repository ?? ''] ?? [])
      },
    },
    credentials: {
      find: async (ownerId, { host, kind }) =>
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
          tries++ === 0 ? Promise.reject(new Error('down')) : named(['../lib']),
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

describe('submodules of submodules', () => {
  const [FIRST, SECOND] = ['1'.repeat(40), '2'.repeat(40)]
  /** What each names, by its address and commit; read from when it was served. */
  const nested: Record<string, { url: string; commit: string | null }[]> = {
    '': [{ url: '../lib.git', commit: FIRST }],
    [`https://forge.example/team/lib.git ${FIRST}`]: [
      { url: '../deep', commit: SECOND },
      { url: 'https://forge.example/other/secret', commit: null },
      { url: 'https://mods.example/team/far', commit: null },
      { url: 'git@forge.example:team/ssh', commit: null },
    ],
    [`https://forge.example/team/deep ${SECOND}`]: [{ url: './deeper', commit: null }],
  }
  const read = new Set(['', `https://forge.example/team/deep ${SECOND}`])
  const git: SubmodulesDeps['git'] = {
    submodules: async ({ of }) => {
      const key = of ? `${of.url} ${of.commit}` : ''
      return { submodules: read.has(key) ? (nested[key] ?? []) : [] }
    },
  }

  it('are read where the one that names them was read, at its host alone', async () => {
    const { at } = setUp({ git })
    const own = { isOwn: true }
    expect(Object.keys(await at('forge.example', own))).toEqual(['/team/lib'])
    // `at` has asked for its credential, as reading it does.
    read.add(`https://forge.example/team/lib.git ${FIRST}`)
    const paths = ['/team/lib', '/team/deep', '/other/secret', '/team/deep/deeper']
    const [one, other] = await Promise.all([at('forge.example', own), at('forge.example', own)])
    expect(Object.keys(one)).toEqual(paths)
    expect(Object.keys(other)).toEqual(paths)
    expect(await at('mods.example')).toEqual({})
  })

  it('are asked for again after a failure, also when the one that names them is not read again', async () => {
    const away = new Error('gitd is being started again')
    let isAway = false
    const { submodules } = setUp({
      git: {
        submodules: async (request) => (isAway ? Promise.reject(away) : git.submodules(request)),
      },
    })
    const deep = 'https://forge.example/team/deep'
    const key = `https://forge.example/team/lib.git ${FIRST}`
    read.delete(key)
    const lib = await submodules.named(STATE, 'https://forge.example/team/lib')
    await lib?.credential()
    read.add(key)
    isAway = true
    expect(await submodules.named(STATE, deep)).toBeUndefined()
    isAway = false
    expect(await submodules.named(STATE, deep)).toBeDefined()
  })
})

describe('submodules on ssh and http', () => {
  const SSH = { ...STATE, repository: { ...main, url: 'git@forge.example:team/shop.git' } }
  const urls = ['../lib.git', 'git@mods.example:other.git', 'http://plain.example/team/x']
  const git = { submodules: async () => named(urls) }
  const kinds: string[] = []
  const credentials: SubmodulesDeps['credentials'] = {
    find: async (_owner, { host, kind }) => {
      kinds.push(`${kind} ${host}`)
      return host === 'forge.example' || host === 'mods.example'
        ? ({ id: host, ownerId: 'ann', host, username: '' } as Credential)
        : undefined
    },
    openSecret: async (_owner, id) => `key of ${id}`,
  }
  const ask = async (url: string, change: Partial<SubmodulesDeps> = {}) => {
    const { submodules } = setUp({ git, credentials, ...change })
    return (await (await submodules.named(SSH, url))?.credential())?.secret
  }

  it('are read with a credential of their kind and their own host, where there is one', async () => {
    expect(await ask('git@forge.example:team/lib.git')).toBe('key of forge.example')
    expect(await ask('git@forge.example:team/lib')).toBe('key of forge.example')
    expect(await ask('git@mods.example:other.git')).toBe('key of mods.example')
    expect(kinds).toEqual(['ssh forge.example', 'ssh forge.example', 'ssh mods.example'])
    expect(await ask('http://plain.example/team/x')).toBeUndefined()
    expect(kinds.at(-1)).toBe('https plain.example')
  })

  it('are left alone where nothing names them, or the rules refuse their host', async () => {
    for (const url of [
      ...['git@forge.example:team/other', 'ssh://git@forge.example:23/team/lib.git', '-x'],
      ...['https://forge.example/team/lib.git', 'ext::sh -c id', ''],
    ])
      expect(await ask(url), url).toBeUndefined()
    const refusing = { allows: () => false }
    expect(await ask('git@mods.example:other.git', refusing)).toBeUndefined()
    expect(await ask('git@forge.example:team/lib', refusing)).toBe('key of forge.example')
  })
})
