import { IncomingMessage, type ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import type { DoorRoute } from '../door/call-route.ts'
import type { OwnPathsAt } from '../egress/rules/own-paths.ts'
import type { AdditionalState, Repository } from '../protocol/session.ts'
import { createOwnRepositories, type OwnRepositoriesDeps } from './own-repositories.ts'
import type { SubmoduleState } from './submodules.ts'

const SESSION = 's_abcdefghijklmnopqrst'
const urls = (main: string, others: Record<string, string> = {}): SubmoduleState => ({
  ...{ id: SESSION, ownerId: 'o', repository: { url: main } as Repository },
  additional: Object.entries(others).map(([name, url]) => ({ name, url }) as AdditionalState),
})
const STATE = urls('https://forge.example/team/shop', {
  lib: 'https://forge.example/team/lib.git',
  far: 'https://other.example:8443/a%20b/far.git',
  old: 'http://plain.example/old.git',
})
const SUBMODULE = { url: 'https://forge.example/team/sub', credential: async () => undefined }

function ownPaths(
  change: Partial<OwnRepositoriesDeps> = {},
  state: SubmoduleState | undefined = STATE,
): OwnPathsAt {
  return createOwnRepositories({
    stateOf: (id) => (id === SESSION ? state : undefined),
    submodules: {
      at: async (_state, { host }) =>
        new Map(host === 'forge.example' ? [['/team/sub', SUBMODULE]] : []),
    },
    git: () => undefined,
    readSubmodule: () => () => undefined,
    ...change,
  })
}

const ownAt = async (host: string, port = 443, state = STATE) =>
  ownPaths({}, state)(SESSION, { host, port })

describe('createOwnRepositories', () => {
  it('answers at the hosts and ports of https and http repositories alone', async () => {
    expect(await ownAt('forge.example')).toBeDefined()
    expect(await ownAt('other.example', 8443)).toBeDefined()
    expect((await ownAt('plain.example', 80))?.takes('/old/info/refs')).toBe(true)
    for (const host of ['other.example', 'plain.example', 'sub.forge.example', 'xforge.example'])
      expect(await ownAt(host), host).toBeUndefined()
    const submodules = { at: async () => new Map() }
    const at = { host: 'forge.example', port: 443 }
    expect(await ownPaths({ submodules })(SESSION, { ...at, port: 80 })).toBeUndefined()
    expect(await ownPaths()('s_00000000000000000000', at)).toBeUndefined()
    for (const ssh of ['git@forge.example:team/shop', 'ssh://git@forge.example:443/team/shop'])
      expect(await ownPaths({ submodules }, urls(ssh))(SESSION, at)).toBeUndefined()
  })

  it('takes what git asks of them, and nothing else of the host', async () => {
    const own = await ownAt('forge.example')
    for (const path of [
      ...['/team/shop/info/refs?service=git-upload-pack', '/team/shop.git/git-receive-pack'],
      ...['/team/lib/git-upload-pack', '/team/lib.git/info/lfs/objects/batch'],
      ...['/team/%73hop.git/info/refs', '/team/sub/info/lfs/objects/batch'],
      ...['/team/sub/git-upload-pack', '/team/sub.git/info/refs'],
    ])
      expect(own?.takes(path), path).toBe(true)
    for (const path of [
      ...['/', '/team/shop', '/team/shop.git/HEAD', '/team/shop/pull/1', '/api/v3/repos/team/shop'],
      ...['/team/shop2/info/refs', '/team/shop.git.git/info/refs', '/team/Shop/info/refs'],
      ...['/team/x/../shop/info/refs', '/team//shop/info/refs', '/team%2fshop/info/refs'],
      ...['/team/shop/x/info/refs', '/team/shop/info/refs/x', '/team/far.git/info/refs', '//'],
      ...['/team/sub', '/team/sub/x/info/refs'],
    ])
      expect(own?.takes(path), path).toBe(false)
    const other = await ownAt('other.example', 8443)
    expect(other?.takes('/a%20b/far/info/refs')).toBe(true)
  })

  it('hands each to who answers it, whole', async () => {
    const asked: string[] = []
    const note =
      (who: string): DoorRoute =>
      ({ sessionId, path, request }) =>
        void asked.push(`${who} ${sessionId === SESSION} ${path} ${path === request.url}`)
    const ownPathsAt = ownPaths({ git: note('door'), readSubmodule: ({ url }) => note(url) })
    const response = {} as ServerResponse
    for (const [host, port, path] of [
      ['forge.example', 443, '/team/shop/info/refs?service=git-receive-pack'],
      ['forge.example', 443, '/team/lib.git/git-upload-pack'],
      ['other.example', 8443, '/a%20b/far.git/git-receive-pack'],
      ['forge.example', 443, '/team/sub.git/info/refs?service=git-upload-pack'],
    ] as const) {
      const own = await ownPathsAt(SESSION, { host, port })
      const request = new IncomingMessage(new Socket())
      await own?.serve({ sessionId: SESSION, path, request, response })
    }
    expect(asked).toEqual([
      'door true /git/repository.git/info/refs?service=git-receive-pack true',
      'door true /git/lib.git/git-upload-pack true',
      'door true /git/far.git/git-receive-pack true',
      `${SUBMODULE.url} true /info/refs?service=git-upload-pack true`,
    ])
  })
})
