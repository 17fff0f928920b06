import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Config, readConfig } from '../config.ts'
import { probeErrand } from './probe-errand.ts'

let folder: string
let config: Config
let server: Server
let up: ChildProcess
/** What is on the port: Errand, or another program. */
let status: number

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-probe-'))
  status = 200
  server = createServer((request, response) => {
    response.writeHead(request.url === '/api/v1/health' ? status : 404).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  config = { ...readConfig({ dataDir: join(folder, 'data'), port }, {}), runtimeDir: folder }
  const args = ['-e', 'setInterval(() => undefined, 1000)', '/srv/errand/src/main.js', 'up']
  up = spawn(process.execPath, args, { stdio: 'ignore' })
  await once(up, 'spawn')
  // As the address is that people use: behind a proxy that ends TLS.
  const instance = { pid: up.pid, url: 'https://errand.invalid', version: '0.1.0' }
  await writeFile(join(folder, 'instance.json'), JSON.stringify(instance))
  await mkdir(config.dataDir)
  await writeFile(join(config.dataDir, 'cli-token'), 'errand_x')
})
afterEach(async () => {
  if (up.kill('SIGKILL')) await once(up, 'exit')
  server.close()
  server.closeAllConnections()
  await rm(folder, { recursive: true, force: true })
})

it('knows Errand and its port again behind an address that nobody answers to here', async () => {
  expect(await probeErrand(config)).toMatchObject({
    instance: {
      ...{ state: 'running', url: 'https://errand.invalid' },
      silent: ['gateway', 'gitd', 'sandboxd'],
    },
    port: { state: 'errand' },
  })
  status = 404
  expect(await probeErrand(config)).toMatchObject({
    instance: { silent: ['server', 'gateway', 'gitd', 'sandboxd'] },
    port: { state: 'taken' },
  })
})
