// While a program is dead and nobody starts it again (its supervisor is stopped), what goes through the gateway goes on to its
// end: a download, the model's answer, a push. Afterwards nothing of it is missing in the log.
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { eventsOf } from '../e2e/installation.ts'
import { type Bench, createBench, eventually, kill } from './bench.ts'
import { type NoteSession, settle, startNote } from './notes.ts'
import { findProgram, type ProgramName } from './processes.ts'

const FILES_HOST = 'files.errand.test'
const FILE = randomBytes(4 << 20)
const HALF = FILE.length / 2
const DIGEST = createHash('sha256').update(FILE).digest('hex')

let bench: Bench
let files: Server
let requested: PromiseWithResolvers<ServerResponse>

beforeAll(async () => {
  bench = await createBench({ hosts: { [FILES_HOST]: 'outside' } })
  files = createServer((_, response) => {
    response.writeHead(200, { 'content-length': FILE.length }).write(FILE.subarray(0, HALF))
    requested.resolve(response)
  })
  files.listen(0, bench.outside)
  await once(files, 'listening')
})
afterAll(async () => {
  files?.close()
  await bench?.close()
})

/** A download of which the second half waits to be sent. */
async function startDownload(): Promise<{ id: string; response: ServerResponse }> {
  requested = Promise.withResolvers()
  const { port } = files.address() as AddressInfo
  const { id } = await bench.errand.client.createSession({
    prompt: `curl --silent --show-error http://${FILES_HOST}:${port}/file | sha256sum`,
    kind: 'command',
    source: { kind: 'remote', url: bench.forge.urlWithCredential },
    network: { level: 'full', domains: [], includeTrusted: false },
  })
  return { id, response: await requested.promise }
}

/** Resolves with how many requests the model has got with this note. */
function requestsWith(note: string): number {
  return bench.errand.model.requests.filter(({ body }) => body.includes(`add the note ${note}`))
    .length
}

const answered = (note: string) =>
  eventually('the whole answer of the model', () => {
    const [first] = bench.errand.model.requests.filter(({ body }) =>
      body.includes(`add the note ${note}`),
    )
    if (first?.answeredAt === undefined) throw new Error('not yet')
  })

const goesOn = (note: string, requests: number) =>
  eventually('the next request of the agent', () => {
    if (requestsWith(note) < requests) throw new Error('not yet')
  })

it.each<{ program: ProgramName; pushes: boolean }>([
  { program: 'server', pushes: true },
  { program: 'sandboxd', pushes: true },
  { program: 'gitd', pushes: false },
])('$program dead: what goes through the gateway goes on', async ({ program, pushes }) => {
  const { errand, forge } = bench
  const download = await startDownload()
  const pushing = pushes ? await startNote(bench, `pushed-${program}`) : undefined
  const hold = pushing ? await forge.hold(pushing.branch, 'after') : undefined
  await hold?.reached(AbortSignal.timeout(30_000))
  const answering = `answered-${program}`
  const listening: NoteSession = await startNote(bench, answering, 'patiently add the note')
  await goesOn(answering, 1)

  process.kill(errand.pid(), 'SIGSTOP')
  try {
    await kill(bench, program, '')
    download.response.end(FILE.subarray(HALF))
    await once(download.response, 'close')
    expect(download.response.writableFinished).toBe(true)
    await hold?.release()
    await answered(answering)
    if (pushing) {
      // The agent got the end of its push, and of the model's answer, and goes on with both.
      await goesOn(`pushed-${program}`, 3)
      await goesOn(answering, 2)
      expect(await forge.taken(pushing.branch)).toHaveLength(1)
    }
    expect(() => findProgram(errand.dataDir, program)).toThrow(`no ${program} runs`)
  } finally {
    process.kill(errand.pid(), 'SIGCONT')
  }

  const events = await errand.finish(download.id)
  expect(eventsOf(events, 'command.output').map(({ text }) => text)).toEqual([`${DIGEST}  -\n`])
  await settle(bench, listening)
  if (pushing) await settle(bench, pushing)
  for (const id of [download.id, listening.id, pushing?.id])
    if (id) await errand.client.removeSession(id)
})
