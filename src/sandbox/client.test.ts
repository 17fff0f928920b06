import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { DeadlineError } from '../lib/deadline.ts'
import { createSandboxClient } from './client.ts'

it('waits only so long for a sandboxd that hangs to say what there is', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'errand-client-'))
  const socketPath = join(folder, 'sandboxd.sock')
  const server = createServer((request, response) => {
    // One hangs before its answer, one within it.
    if (request.url === '/layers') response.writeHead(200).write('[')
  })
  onTestFinished(async () => {
    server.close()
    server.closeAllConnections()
    await rm(folder, { recursive: true })
  })
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  const client = createSandboxClient({ socketPath, kind: 'oci', answerMs: 50 })
  for (const asked of [client.list, client.listLayers, client.isolation])
    await expect(asked()).rejects.toThrow(DeadlineError)
})
