// How the command line reaches the Errand that runs here, which stands for one by its files and a process of its name.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type Config, readConfig } from '../config.ts'
import { connect } from './connect.ts'
import { claimInstance, listenerUrl } from './instance.ts'

let folder: string
let config: Config
let running: ChildProcess
let server: Server
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-connect-'))
  config = { ...readConfig({ dataDir: folder }), runtimeDir: join(folder, 'run') }
  const args = ['-e', 'setInterval(() => undefined, 1000)', '/srv/errand/src/main.js', 'up']
  running = spawn(process.execPath, args, { stdio: 'ignore' })
  await once(running, 'spawn')
  server = createServer((_, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ sessions: [], next: null }))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterEach(async () => {
  server.close()
  running.kill('SIGKILL')
  await once(running, 'exit')
  await rm(folder, { recursive: true, force: true })
})

it('goes straight to the one that runs here, also while the proxy at its public address is down', async () => {
  const { port } = server.address() as AddressInfo
  const claim = await claimInstance(config)
  const url = 'https://127.0.0.1:1'
  const here = listenerUrl({ host: '0.0.0.0', port })
  await claim.ready({ pid: running.pid ?? 0, url, listener: here, version: '0.1.0' })
  await writeFile(join(folder, 'cli-token'), 'secret')
  const connection = await connect(() => config, { start: false })
  expect(await connection.client.listSessions()).toMatchObject({ sessions: [] })
  expect(connection).toMatchObject({
    ...{ baseUrl: `http://127.0.0.1:${port}`, pageUrl: url, isHere: true },
  })
})
