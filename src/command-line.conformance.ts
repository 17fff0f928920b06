// The command line as a program of its own, against a server whose authority the system trusts and Node.js does not know.
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer as createProxy } from 'node:http'
import { createServer, type Server } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { createLeaves, makeAuthority } from './egress/tls/authority.ts'
import { runProcess } from './lib/process.ts'

let folder: string
let server: Server
let url: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-command-'))
  const authority = await makeAuthority(Date.now())
  await writeFile(join(folder, 'authority.pem'), authority.certificate)
  const leafFor = await createLeaves(authority, Date.now)
  const error = { code: 'unauthenticated', reason: 'token_invalid', message: 'not valid' }
  const [here, elsewhere] = [await leafFor('127.0.0.1'), await leafFor('errand.example')]
  server = createServer(here, (_, response) => {
    response.writeHead(401, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ error }))
  })
  server.addContext('errand.example', elsewhere)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(async () => {
  server.close()
  server.closeAllConnections()
  await rm(folder, { recursive: true, force: true })
})

async function errand(args: string[], env: Record<string, string>): Promise<unknown> {
  const program = join(import.meta.dirname, 'command-line.ts')
  const { stdout } = await runProcess(process.execPath, ['--no-warnings', program, ...args], {
    env: { HOME: folder, PATH: '/usr/bin:/bin', ...env },
  })
  return JSON.parse(stdout)
}
const trusting = () => ({ SSL_CERT_FILE: join(folder, 'authority.pem'), SSL_CERT_DIR: folder })

it('reaches an Errand elsewhere whose authority this machine trusts, and no other', async () => {
  const remote = { ERRAND_URL: url, ERRAND_TOKEN: 'errand_x' }
  const refusal = { error: { reason: 'token_invalid' } }
  expect(await errand(['sessions', '--json'], { ...remote, ...trusting() })).toMatchObject(refusal)
  // With what is in the way: nobody could know it otherwise.
  const unknown = {
    error: {
      reason: 'errand_unreachable',
      message: expect.stringMatching(/^Errand cannot be reached at https.*: .*certificate/),
    },
  }
  expect(await errand(['sessions', '--json'], remote)).toMatchObject(unknown)
})

it('says what is wrong with the address of an Errand elsewhere', async () => {
  for (const ERRAND_URL of [
    'errand.example.org',
    `${url}/login?token=x`,
    'ssh://errand.example.org',
  ])
    expect(
      await errand(['sessions', '--json'], { ERRAND_URL, ERRAND_TOKEN: 'errand_x' }),
    ).toMatchObject({ error: { reason: 'invalid_errand_url' } })
})

it('goes through the proxy that the variables name to an Errand elsewhere, as git does', async () => {
  const asked: string[] = []
  const proxy = createProxy()
  proxy.on('connect', (request, socket) => {
    asked.push(request.url ?? '')
    const tunnel = connect((server.address() as AddressInfo).port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      socket.pipe(tunnel).pipe(socket)
    })
    for (const one of [socket, tunnel]) one.on('error', () => tunnel.destroy())
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  onTestFinished(() => void proxy.close())
  const HTTPS_PROXY = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
  const remote = { HTTPS_PROXY, ERRAND_TOKEN: 'errand_x', ...trusting() }
  const refusal = { error: { reason: 'token_invalid' } }
  for (const ERRAND_URL of ['https://errand.example', url])
    expect(await errand(['sessions', '--json'], { ...remote, ERRAND_URL })).toMatchObject(refusal)
  // None to this very machine.
  expect(asked).toEqual(['errand.example:443'])
})

it('has doctor ask the model endpoint with the trust that the gateway has', async () => {
  const env = { ANTHROPIC_API_KEY: 'x', ANTHROPIC_BASE_URL: url, ERRAND_DATA: join(folder, 'data') }
  const endpoint = async (more: Record<string, string>) => {
    const found = await errand(['doctor', '--json'], { ...env, ...more })
    const { checks } = found as { checks: { name: string; ok: string }[] }
    return checks.find(({ name }) => name === 'model endpoint')?.ok
  }
  expect(await endpoint(trusting())).toBe('ok')
  expect(await endpoint({})).toBe('warn')
})
