// Before suites whose files need a database: servers that are lent to one file at a time and go to the next one
// afterwards, since making and starting one takes longer than most of these files. None is made before a file asks.
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { createSilentLogger } from '../../lib/logger.ts'
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded-postgres.ts'
import { makeTestPlace } from './test-place.fixture.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** A socket: who connects is told a server's connection, or an error, as JSON, and has the server until it hangs up. */
    databaseServers: string
  }
}

type LentServer = Pick<EmbeddedPostgres, 'connection' | 'stop'>

/** Begun for a suite of Vitest; the function that it gives ends all of it. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'errand-lend-'))
  const all: LentServer[] = []
  const idle: LentServer[] = []
  const lend = async (borrower: Socket) => {
    const server = idle.pop() ?? (await startServer())
    if (!all.includes(server)) all.push(server)
    borrower.write(`${JSON.stringify(server.connection)}\n`)
    if (!borrower.closed) await once(borrower, 'close')
    idle.push(server)
  }
  const lender = createServer((borrower) => {
    borrower.on('error', () => undefined)
    lend(borrower.resume()).catch((error: unknown) =>
      borrower.end(`${JSON.stringify({ error: String(error) })}\n`),
    )
  })
  const socketPath = join(folder, 'lender')
  await once(lender.listen(socketPath), 'listening')
  project.provide('databaseServers', socketPath)
  return async () => {
    lender.close()
    await Promise.all(all.map((server) => server.stop()))
    await rm(folder, { recursive: true, force: true })
  }
}

async function startServer(): Promise<LentServer> {
  const { folder, remove, ...place } = await makeTestPlace()
  const { connection, stop } = await startEmbeddedPostgres({
    ...place,
    dataDir: join(folder, 'data'),
    socketDir: join(folder, 'socket'),
    logger: createSilentLogger(),
  })
  return { connection, stop: () => stop().then(remove) }
}
