// An installation made of the golden data of each version so far: it starts, and its API shows all that is in it.
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Client, createClient } from '../../src/client/client.ts'
import { delay } from '../../src/lib/deadline.ts'
import { applyEvent, emptyView } from '../../src/protocol/apply-event.ts'
import { goldenFile, goldenVersions, readExpected } from '../golden/open.ts'
import { type RunningCommand, runCommand, startCommand } from './command.ts'

describe.each(goldenVersions)('the data of version %s', (version) => {
  const sessions = readExpected(version)
  let folder: string
  let dataDir: string
  let command: RunningCommand
  let client: Client

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'errand-golden-'))
    dataDir = join(folder, 'data')
    const restored = await runCommand(['restore', goldenFile(version), '--data', dataDir])
    expect(restored.exitCode, restored.stderr).toBe(0)
    command = startCommand(['up', '--json', '--port', '0', '--data', dataDir])
    await command.said(/\n/)
    const { url } = JSON.parse(command.stdout())
    const token = await readFile(join(dataDir, 'cli-token'), 'utf8')
    client = createClient({ baseUrl: url, token })
  })
  afterAll(async () => {
    for (const { id } of sessions) await client.removeSession(id)
    // What has begun again may be on its way still: a sandbox outlives its Errand.
    const folders = () => sessions.filter(({ id }) => existsSync(join(dataDir, 'sandboxes', id)))
    while (folders().length > 0) await delay(20)
    command.interrupt('SIGTERM')
    await command.ended()
    await rm(folder, { recursive: true, force: true })
  })

  it('is listed as a whole', async () => {
    const page = await client.listSessions({ archived: true, limit: 200 })
    expect(page.sessions.map(({ id }) => id).toSorted()).toEqual(sessions.map(({ id }) => id))
    expect((await client.listUsers()).map(({ name }) => name)).toContain('Ann')
    expect((await client.listTokens()).map(({ name }) => name)).toContain('golden')
    expect(await client.listCredentials()).toMatchObject([{ host: 'git.example' }])
    expect((await client.listEnvironments()).map(({ name }) => name)).toContain('Default')
  })

  it.each(sessions)('shows $title with its events and the state that they give', async (old) => {
    const state = await client.getSession(old.id)
    expect(state.title).toBe(old.title)
    const { events } = await client.readEvents(old.id, { limit: 1000 })
    expect(events.slice(0, old.lastSeq).map(({ body }) => body.type)).toEqual(old.types)
    const until = events.filter(({ seq }) => seq <= state.lastSeq)
    expect(until.reduce(applyEvent, emptyView).session).toEqual(state)
    // Where a sandbox was, it is gone: work that was under way has begun again, the rest is as it was.
    if (['idle', 'failed', 'archived'].includes(old.status)) expect(state.status).toBe(old.status)
  })

  it('has the repositories', async () => {
    const idle = sessions.find(({ status }) => status === 'idle')
    const diff = await client.getDiff(idle?.id ?? '')
    expect(diff).toMatchObject({ files: [{ path: 'second', status: 'added' }] })
  })
})
