// The app on a real port: raw streams behind all the checks.
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Caller, type OwnersApp, openOwnersApp, type TestApp } from './app.fixture.ts'
import { listenHttp, probePort } from './listen.ts'

let site: OwnersApp
let test: TestApp
let owner: Caller

beforeAll(async () => {
  site = await openOwnersApp()
  ;({ test, owner } = site)
})
afterAll(() => site.close())

const newSession = () => site.newSession()

describe('on a real port', () => {
  it('passes git on with its raw streams, after the checks', async () => {
    const { id } = await newSession()
    const listening = await listenHttp(test.app, { host: '127.0.0.1', port: 0 })
    const ask = (path: string, authorization?: string) =>
      new Promise<string>((resolve) => {
        const socket = connect(listening.port, '127.0.0.1')
        let text = ''
        socket.on('data', (chunk) => {
          text += chunk
        })
        socket.on('close', () => resolve(text))
        const credential = authorization ? `authorization: ${authorization}\r\n` : ''
        socket.write(
          `GET ${path} HTTP/1.1\r\nhost: 127.0.0.1:8420\r\nconnection: close\r\n${credential}\r\n`,
        )
      })
    const path = `/api/v1/git/sessions/${id}/info/refs?service=`
    expect(await ask(`${path}git-upload-pack`)).toMatch(/^HTTP\/1.1 401/)
    const bearer = `Bearer ${owner.bearer}`
    expect(await ask(`${path}git-receive-pack`, bearer)).toMatch(
      /^HTTP\/1.1 403.*git_service_refused/s,
    )
    test.gitRequests.length = 0
    expect(await ask(`${path}git-upload-pack`, bearer)).toContain('git was here')
    const rest = 'info/refs?service=git-upload-pack'
    const base = `http://127.0.0.1:8420/api/v1/git/sessions/${id}`
    const shared = { target: { kind: 'session', id }, access: 'fetch', base }
    expect(test.gitRequests).toEqual([{ ...shared, rest }])
    const file = `info/lfs/objects/${'a'.repeat(64)}`
    expect(await ask(`/api/v1/git/sessions/${id}/${file}`)).toMatch(/^HTTP\/1.1 401/)
    expect(await ask(`/api/v1/git/sessions/${id}/${file}`, bearer)).toContain('git was here')
    expect(test.gitRequests.at(-1)).toEqual({ ...shared, rest: file })
    const address = { host: '127.0.0.1', port: listening.port }
    const taken = { code: 'conflict', reason: 'port_taken' }
    await expect(listenHttp(test.app, address)).rejects.toMatchObject(taken)
    await expect(probePort(address)).rejects.toMatchObject(taken)
    await listening.close()
    expect(await probePort(address)).toBe(address.port)
  })
})
