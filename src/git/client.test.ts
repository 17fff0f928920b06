import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type GitTarget, proxyGit } from './client.ts'

const READ = { kind: 'session', id: 's_one', advertise: false, push: null } as const

let folder: string
let ending: (() => void)[]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-git-client-'))
  ending = []
})

afterEach(async () => {
  for (const end of ending) end()
  await rm(folder, { recursive: true, force: true })
})

/** A door in front of a gitd that answers like this; the address of the door. */
async function openDoor(target: GitTarget, answer: (outgoing: ServerResponse) => void) {
  const socketPath = join(folder, 'gitd.sock')
  const gitd = createServer((incoming, outgoing) => {
    incoming.resume()
    answer(outgoing)
  })
  const door = createServer((incoming, outgoing) => {
    void proxyGit(incoming, outgoing, { socketPath, target, silenceMs: 50 })
  })
  gitd.listen(socketPath)
  door.listen(0, '127.0.0.1')
  await Promise.all([once(gitd, 'listening'), once(door, 'listening')])
  ending.push(() => {
    for (const server of [gitd, door]) {
      server.closeAllConnections()
      server.close()
    }
  })
  return `http://127.0.0.1:${(door.address() as AddressInfo).port}/`
}

async function read(url: string): Promise<{ body: string; whole: boolean }> {
  const asking = request(url, { method: 'POST' }).end()
  const [incoming] = await once(asking, 'response')
  let body = ''
  incoming.on('data', (chunk: Buffer) => {
    body += chunk.toString()
  })
  // `once` would reject for what is cut off.
  incoming.on('error', () => undefined)
  await new Promise((resolve) => incoming.on('close', resolve))
  return { body, whole: incoming.complete }
}

it('passes back an answer that ends with its connection', async () => {
  const url = await openDoor({ ...READ, service: 'git-upload-pack' }, (outgoing) => {
    outgoing.removeHeader('transfer-encoding')
    outgoing.writeHead(200, { connection: 'close' })
    outgoing.write('half ')
    outgoing.end('whole')
  })
  expect(await read(url)).toEqual({ body: 'half whole', whole: true })
})

it('breaks off an answer to a read in which nothing moves any more', async () => {
  const gone = Promise.withResolvers<void>()
  const url = await openDoor({ ...READ, service: 'git-upload-pack' }, (outgoing) => {
    outgoing.writeHead(200).write('half ')
    outgoing.on('close', gone.resolve)
  })
  expect(await read(url)).toEqual({ body: 'half ', whole: false })
  await gone.promise
})
