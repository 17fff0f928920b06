// A backup of an installation at work, restored elsewhere: what was there is there again, and work goes on.
import { createReadStream } from 'node:fs'
import { mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createGunzip } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSampleRepository } from '../../demo/repository.ts'
import type { BackupManifest } from '../../src/backup/archive.ts'
import { type Client, createClient } from '../../src/client/client.ts'
import { readConfig } from '../../src/config.ts'
import { layoutOf } from '../../src/installation/ground.ts'
import { createSilentLogger } from '../../src/lib/logger.ts'
import { runChecked } from '../../src/lib/process.ts'
import { readTar } from '../../src/lib/tar.ts'
import { applyEvent, emptyView } from '../../src/protocol/apply-event.ts'
import type { SessionEvent } from '../../src/protocol/event.ts'
import { DATABASE_NAME, DATABASE_USER } from '../../src/store/postgres/cluster.ts'
import { openStore } from '../../src/store/store.ts'
import { errorOf, jsonOf, type RunningCommand, runCommand, startCommand } from './command.ts'
import { eventsOf, type Installation, OWNER_KEY, ROOT, startInstallation } from './installation.ts'

const SECRET = 'deploy-Token-51c07e9f'

let errand: Installation
let folder: string
let file: string
let backup: BackupManifest & { file: string }
let idle: string
let failed: string
const before = new Map<string, SessionEvent[]>()

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-backup-'))
  file = join(folder, 'errand.tar.gz')
  const repository = join(folder, 'cart')
  await createSampleRepository(repository)
  errand = await startInstallation()
  const { client } = errand
  idle = (await errand.start(repository, 'make the failing test pass')).id
  const source = { kind: 'remote' as const, url: 'https://127.0.0.1:9/none.git' }
  failed = (await errand.start(repository, 'never begins', { source })).id
  await client.createCredential({ host: 'git.example', username: 'deploy', secret: SECRET })
  await client.addUser({ name: 'Ann', email: 'ann@example.com' })
  await errand.finish(failed)
  await errand.finish(idle)
  await errand.follow(idle, ({ body }) => body.type === 'changes.measured')
  for (const id of [idle, failed])
    before.set(id, (await client.readEvents(id, { limit: 1000 })).events)
  backup = jsonOf(await succeed(['backup', file, '--data', errand.dataDir, '--json']))
})
afterAll(async () => {
  await errand.stop()
  await rm(folder, { recursive: true, force: true })
})

async function succeed(args: string[]) {
  const result = await runCommand(args)
  expect(result.exitCode, result.stdout + result.stderr).toBe(0)
  return result
}

const refusal = async (...args: string[]) => errorOf(await runCommand([...args, '--json']))

interface Restored {
  client: Client
  dataDir: string
  follow: Installation['follow']
  command: RunningCommand
  stop(): Promise<void>
}

async function start(dataDir: string): Promise<Restored> {
  const command = startCommand(['up', '--json', '--port', '0', '--data', dataDir], {
    env: {
      ANTHROPIC_API_KEY: OWNER_KEY,
      ANTHROPIC_BASE_URL: errand.model.url,
      ERRAND_LOG_LEVEL: 'warn',
    },
  })
  await command.said(/\n/)
  const { url } = JSON.parse(command.stdout())
  // Tokens are in the database: the one of the first installation is good here.
  const client = createClient({ baseUrl: url, token: errand.token })
  return {
    ...{ client, dataDir, command },
    follow: async (id, enough, afterSeq = 0) => {
      const events: SessionEvent[] = []
      const signal = AbortSignal.timeout(60_000)
      for await (const item of client.followEvents(id, { afterSeq, signal })) {
        if (item.kind !== 'event') continue
        events.push(item.event)
        if (enough(item.event)) return events
      }
      throw new Error(`${id} stopped at: ${JSON.stringify(events.slice(-5), null, 1)}`)
    },
    stop: async () => {
      const { sessions } = await client.listSessions({ archived: true, limit: 100 })
      await Promise.all(sessions.map(({ id }) => client.removeSession(id)))
      command.interrupt('SIGTERM')
      await command.ended()
    },
  }
}

describe('a backup of a running installation', () => {
  it('is one file that nobody else can read, and says what is in it', async () => {
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    const migrations = await readdir(join(ROOT, 'src/store/migrations'))
    const schema = migrations.toSorted().at(-1)?.replace('.ts', '')
    expect(backup).toMatchObject({ format: 1, version: '0.1.0', schema })
    expect(backup.tables).toMatchObject({ sessions: 2, credentials: 1, auth_users: 2 })
    const names: string[] = []
    const chunks = createReadStream(file).pipe(createGunzip())
    for await (const { name, content } of readTar(chunks)) {
      names.push(name)
      for await (const chunk of content) expect(chunk.includes(SECRET)).toBe(false)
    }
    expect(names).toEqual(['manifest.json', ...backup.files.map(({ name }) => name)])
    // Nothing of its making is left beside it.
    expect((await readdir(folder)).toSorted()).toEqual(['cart', 'errand.tar.gz'])
  })

  it('never takes the place of a file', async () => {
    expect(await refusal('backup', file, '--data', errand.dataDir)).toMatchObject({
      code: 'conflict',
      reason: 'file_exists',
    })
  })

  it('needs an installation', async () => {
    const other = join(folder, 'other.tar.gz')
    expect(await refusal('backup', other, '--data', join(folder, 'nowhere'))).toMatchObject({
      code: 'not_found',
      reason: 'installation_not_found',
    })
  })
})

describe('what was restored', () => {
  let restored: Restored

  beforeAll(async () => {
    const dataDir = join(folder, 'restored')
    const result = jsonOf(await succeed(['restore', file, '--data', dataDir, '--json']))
    expect(result).toMatchObject({ dataDir, tables: backup.tables })
    expect((await readdir(dataDir)).toSorted()).toEqual([
      'git',
      'images',
      'keys',
      'postgres',
      'sandboxes',
    ])
    restored = await start(dataDir)
  })
  afterAll(() => restored.stop())

  it('has the same sessions with the same events, and says that the sandbox is gone', async () => {
    for (const id of [idle, failed]) {
      const { events } = await restored.client.readEvents(id, { limit: 1000 })
      const old = before.get(id) ?? []
      expect(JSON.stringify(events.slice(0, old.length))).toBe(JSON.stringify(old))
      const state = await restored.client.getSession(id)
      expect(events.reduce(applyEvent, emptyView).session).toEqual(state)
    }
    const { events } = await restored.client.readEvents(idle, {
      after: before.get(idle)?.at(-1)?.seq ?? 0,
    })
    expect(eventsOf(events, 'sandbox.lost')).toMatchObject([{ reason: 'sandbox_not_in_backup' }])
    expect(await restored.client.getSession(idle)).toMatchObject({
      status: 'idle',
      sandbox: { state: 'lost' },
    })
    expect((await restored.client.getSession(failed)).status).toBe('failed')
  })

  it('has the same diff', async () => {
    expect(await restored.client.getDiff(idle)).toEqual(await errand.client.getDiff(idle))
  })

  it('knows the same people, tokens and credentials', async () => {
    const { client } = restored
    expect(await client.listUsers()).toEqual(await errand.client.listUsers())
    const [credential] = await client.listCredentials()
    expect([credential]).toEqual(await errand.client.listCredentials())
    const config = readConfig({ dataDir: restored.dataDir })
    const store = await openStore({
      connection: {
        host: layoutOf(config).postgresSockets,
        user: DATABASE_USER,
        database: DATABASE_NAME,
      },
      logger: createSilentLogger(),
      sealingKey: await readFile(join(restored.dataDir, 'keys/sealing.key')),
    })
    const { id: ownerId } = await client.getMe()
    expect(await store.credentials.openSecret(ownerId, credential?.id ?? '')).toBe(SECRET)
    await store.close()
  })

  it('goes on with a follow-up on the branch as it was pushed', async () => {
    const { client } = restored
    const { lastSeq } = await client.getSession(idle)
    const old = await client.getDiff(idle)
    await client.sendMessage(idle, { text: 'add a function isEmpty' })
    const events = await restored.follow(
      idle,
      ({ body }) => /^turn\.(completed|failed)$|^session\.failed$/.test(body.type),
      lastSeq,
    )
    expect(events.at(-1)?.body.type, JSON.stringify(events.slice(-3))).toBe('turn.completed')
    const { commits } = await client.getDiff(idle)
    expect(commits.map(({ id }) => id)).toEqual(
      expect.arrayContaining(old.commits.map(({ id }) => id)),
    )
    expect(commits.length).toBe(old.commits.length + 1)
  })

  it('is not restored over', async () => {
    const { dataDir } = restored
    expect(await refusal('restore', file, '--data', dataDir)).toMatchObject({ code: 'conflict' })
  })
})

describe('a restore', () => {
  const target = () => join(folder, 'new')

  it('and a backup of an installation that does not run give the same', async () => {
    await succeed(['restore', file, '--data', target(), '--json'])
    const again = join(folder, 'again.tar.gz')
    const manifest: BackupManifest = jsonOf(
      await succeed(['backup', again, '--data', target(), '--json']),
    )
    expect(manifest.tables).toEqual({ ...backup.tables, events: (backup.tables.events ?? 0) + 1 })
    expect(await refusal('restore', again, '--data', target())).toMatchObject({
      reason: 'data_folder_not_empty',
    })
    await rm(target(), { recursive: true })
  })

  it('makes nothing of what is no whole backup', async () => {
    const bytes = await readFile(file)
    const bad = join(folder, 'bad')
    const damage: [string, Buffer][] = [
      ['backup_damaged', bytes.subarray(0, bytes.length - 100)],
      ['backup_damaged', Buffer.from(bytes.with(Math.floor(bytes.length / 2), 7))],
      ['backup_damaged', Buffer.from('something else')],
    ]
    for (const [reason, content] of damage) {
      await writeFile(bad, content)
      expect(await refusal('restore', bad, '--data', target())).toMatchObject({
        ...{ code: 'invalid', reason },
      })
      await expect(stat(target())).rejects.toThrow('ENOENT')
    }
    expect(await refusal('restore', join(folder, 'none'), '--data', target())).toMatchObject({
      reason: 'backup_not_found',
    })
    await expect(stat(target())).rejects.toThrow('ENOENT')
  })

  it('takes away what it has made by then at Ctrl-C, wherever it is', async () => {
    const pipe = join(folder, 'pipe')
    await runChecked('mkfifo', [pipe])
    const running = startCommand(['restore', pipe, '--data', target()])
    // Opens when the other end is read; what follows is not enough to go on with.
    const half = await open(pipe, 'w')
    await half.write((await readFile(file)).subarray(0, 1000))
    running.interrupt()
    await half.close()
    expect(await running.ended()).toBe(130)
    expect(running.stderr()).toBe('')
    await expect(stat(target())).rejects.toThrow('ENOENT')
    await expect(stat(readConfig({ dataDir: target() }).runtimeDir)).rejects.toThrow('ENOENT')
    expect(await refusal('restore', folder, '--data', target())).toMatchObject({
      reason: 'backup_unreadable',
    })
  })

  it('clears away what a killed restore left, and starts no Errand on it', async () => {
    const killed = startCommand(['restore', file, '--data', target()])
    while (!(await readdir(target()).catch(() => [] as string[])).includes('restoring'))
      await new Promise((resolve) => setImmediate(resolve))
    killed.interrupt('SIGKILL')
    await killed.ended()
    const handle = await open(join(target(), 'restoring/half'), 'w')
    await handle.close()
    expect(await refusal('up', '--port', '0', '--data', target())).toMatchObject({
      reason: 'data_folder_foreign',
      message: expect.stringContaining('errand restore again'),
    })
    await succeed(['restore', file, '--data', target(), '--json'])
    expect(await readdir(target())).not.toContain('restoring')
  })
})
