import { IncomingMessage, type ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { describe, expect, it } from 'vitest'
import type { OwnPaths } from './egress/own-paths.ts'
import { createOwnRepositories } from './gateway-own-repositories.ts'
import type { AdditionalState, Repository } from './protocol/session.ts'

const SESSION = 's_abcdefghijklmnopqrst'
const urls = (main: string, others: Record<string, string> = {}) => ({
  repository: { url: main } as Repository,
  additional: Object.entries(others).map(([name, url]) => ({ name, url }) as AdditionalState),
})
const STATE = urls('https://forge.example/team/shop', {
  lib: 'https://forge.example/team/lib.git',
  far: 'https://other.example:8443/a%20b/far.git',
  old: 'http://plain.example/old.git',
})

function ownAt(host: string, port = 443, state = STATE): OwnPaths | undefined {
  return createOwnRepositories(
    (id) => (id === SESSION ? state : undefined),
    () => undefined,
  )(SESSION, { host, port })
}

describe('createOwnRepositories', () => {
  it('answers at the hosts and ports of https repositories alone', () => {
    expect(ownAt('forge.example')).toBeDefined()
    expect(ownAt('other.example', 8443)).toBeDefined()
    for (const [host, port] of [
      ...([
        ['forge.example', 80],
        ['other.example', 443],
        ['plain.example', 443],
      ] as const),
      ...([
        ['sub.forge.example', 443],
        ['xforge.example', 443],
      ] as const),
    ])
      expect(ownAt(host, port), host).toBeUndefined()
    const at = { host: 'forge.example', port: 443 }
    expect(
      createOwnRepositories(
        () => undefined,
        () => undefined,
      )(SESSION, at),
    ).toBeUndefined()
    expect(ownAt('forge.example', 443, urls('git@forge.example:team/shop'))).toBeUndefined()
  })

  it('takes what git asks of them, and nothing else of the host', () => {
    const own = ownAt('forge.example')
    for (const path of [
      ...['/team/shop/info/refs?service=git-upload-pack', '/team/shop.git/git-receive-pack'],
      ...['/team/lib/git-upload-pack', '/team/lib.git/info/lfs/objects/batch'],
      '/team/%73hop.git/info/refs',
    ])
      expect(own?.takes(path), path).toBe(true)
    for (const path of [
      ...['/', '/team/shop', '/team/shop.git/HEAD', '/team/shop/pull/1', '/api/v3/repos/team/shop'],
      ...['/team/shop2/info/refs', '/team/shop.git.git/info/refs', '/team/Shop/info/refs'],
      ...['/team/x/../shop/info/refs', '/team//shop/info/refs', '/team%2fshop/info/refs'],
      ...['/team/shop/x/info/refs', '/team/shop/info/refs/x', '/team/far.git/info/refs', '//'],
    ])
      expect(own?.takes(path), path).toBe(false)
    expect(ownAt('other.example', 8443)?.takes('/a%20b/far/info/refs')).toBe(true)
  })

  it('hands each to its own path of the door, whole', async () => {
    const asked: string[] = []
    const ownPathsAt = createOwnRepositories(
      () => STATE,
      ({ sessionId, path, request }) => void asked.push(`${sessionId} ${path} ${request.url}`),
    )
    const request = new IncomingMessage(new Socket())
    const response = {} as ServerResponse
    for (const [host, port, path] of [
      ['forge.example', 443, '/team/shop/info/refs?service=git-receive-pack'],
      ['forge.example', 443, '/team/lib.git/git-upload-pack'],
      ['other.example', 8443, '/a%20b/far.git/git-receive-pack'],
    ] as const)
      await ownPathsAt(SESSION, { host, port })?.serve({
        ...{ sessionId: SESSION, path, request, response },
      })
    expect(asked).toEqual(
      [
        '/git/repository.git/info/refs?service=git-receive-pack',
        '/git/lib.git/git-upload-pack',
        '/git/far.git/git-receive-pack',
      ].map((path) => `${SESSION} ${path} ${path}`),
    )
  })
})
