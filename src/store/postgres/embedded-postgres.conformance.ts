import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { createSilentLogger } from '../../lib/logger.ts'
import { appends, nextTestId, renamed } from '../session.fixture.ts'
import { openStore } from '../store.ts'
import { makeOwnedFolder } from './cluster.ts'
import { checkSocketPath, startEmbeddedPostgres } from './embedded-postgres.ts'
import { isServerProcess, waitUntilGone } from './postmaster.ts'
import { makeTestPlace, type TestPlace } from './test-place.fixture.ts'

const isRoot = process.getuid?.() === 0
const logger = createSilentLogger()
const GONE_LIMIT_MS = 10_000
// A clone on a developer's disk may lie deep.
const LONG_NAME = 'd'.repeat(150)

let place: TestPlace
let dataDir: string
let socketDir: string
const running: { stop(): Promise<void> }[] = []

beforeAll(async () => {
  place = await makeTestPlace()
  dataDir = join(place.folder, LONG_NAME)
  socketDir = join(place.folder, 's')
})
afterEach(async () => {
  for (const each of running.splice(0)) await each.stop()
})
afterAll(() => place.remove())

async function start(more: { dataDir?: string; templatesDir?: string } = {}) {
  const { binDir, uid, gid } = place
  const started = await startEmbeddedPostgres({
    ...{ binDir, uid, gid, dataDir, socketDir, logger },
    ...more,
  })
  running.push(started)
  return started
}

async function open(postgres: Awaited<ReturnType<typeof start>>) {
  const store = await openStore({ connection: postgres.connection, logger })
  running.unshift({ stop: () => store.close() })
  return store
}

/** A parent of its own, which this test may kill. */
async function startParent(): Promise<{ parent: ChildProcess; pid: number }> {
  const { binDir, uid, gid } = place
  const url = (name: string) => JSON.stringify(new URL(name, import.meta.url).href)
  const program = `
    import { startEmbeddedPostgres } from ${url('./embedded-postgres.ts')}
    import { createSilentLogger } from ${url('../../lib/logger.ts')}
    const options = JSON.parse(process.argv[1])
    const postgres = await startEmbeddedPostgres({ ...options, logger: createSilentLogger() })
    console.log(postgres.pid())
    setInterval(() => undefined, 1000)`
  const options = JSON.stringify({ binDir, uid, gid, dataDir, socketDir })
  const args = ['--input-type=module', '-e', program, options]
  const parent = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const line = await firstLine(parent)
  return { parent, pid: Number(line) }
}

async function firstLine(child: ChildProcess): Promise<string> {
  const ended = once(child, 'exit').then(([code]) => Promise.reject(new Error(`exit code ${code}`)))
  ended.catch(() => undefined)
  if (!child.stdout) throw new Error('no stdout')
  const [line] = await Promise.race([once(child.stdout, 'data'), ended])
  return String(line)
}

async function kill(parent: ChildProcess) {
  const ended = once(parent, 'exit')
  parent.kill('SIGKILL')
  await ended
}

/** The watchdog is the parent's child that is not the server. */
async function killWatchdog(parent: ChildProcess, serverPid: number) {
  const path = `/proc/${parent.pid}/task/${parent.pid}/children`
  const children = (await readFile(path, 'utf8')).trim().split(' ').map(Number)
  const [watchdog = 0, ...others] = children.filter((pid) => pid !== serverPid)
  expect(others).toEqual([])
  process.kill(watchdog, 'SIGKILL')
}

test('serves on a socket only, from a data folder with a long path, and keeps what was written', async () => {
  const first = await start()
  const id = nextTestId()
  const store = await open(first)
  await store.change(id, appends(id, [renamed('a')]))
  const { rows } = await store.pool.query('show listen_addresses')
  expect(rows).toEqual([{ listen_addresses: '' }])
  await store.close()
  await first.stop()
  expect(await isServerProcess(first.pid(), dataDir)).toBe(false)
  const again = await open(await start())
  expect(await again.sessions.get(id)).toBeDefined()
})

test('a new cluster is unpacked from the template of an earlier one, or made where that cannot be read', async () => {
  const templatesDir = join(place.folder, 'templates')
  await makeOwnedFolder(templatesDir, place, 0o700)
  const identify = async (name: string) => {
    const postgres = await start({ dataDir: join(place.folder, name), templatesDir })
    const store = await open(postgres)
    const { rows } = await store.pool.query(
      'select system_identifier::text from pg_control_system()',
    )
    await store.close()
    await postgres.stop()
    return rows[0].system_identifier
  }
  const first = await identify('first')
  const [name = ''] = await readdir(templatesDir)
  expect(await readdir(templatesDir)).toEqual([expect.stringMatching(/^[0-9a-f]{24}\.tar$/)])
  expect(await identify('second')).toBe(first)
  await truncate(join(templatesDir, name), 1 << 20)
  await writeFile(join(templatesDir, `${name}.17`), 'of one that was killed')
  expect(await identify('third')).not.toBe(first)
  expect(await readdir(templatesDir)).toEqual([name])
  expect((await stat(join(templatesDir, name))).size).toBeGreaterThan(1 << 20)
})

test('a socket path that does not fit is refused with a reason', () => {
  checkSocketPath(`/${'a'.repeat(92)}`)
  expect(() => checkSocketPath(`/${'a'.repeat(93)}`)).toThrow(
    expect.objectContaining({ reason: 'socket_path_too_long' }),
  )
})

test('kill -9 of the server loses no acknowledged event, and it is back by itself', async () => {
  const postgres = await start()
  const store = await open(postgres)
  const id = nextTestId()
  const killed = postgres.pid()
  let acknowledged = 0
  let failures = 0
  while (failures === 0) {
    if (acknowledged === 50) process.kill(killed, 'SIGKILL')
    try {
      await store.change(id, appends(id, [renamed(String(acknowledged))]))
      acknowledged += 1
    } catch (error) {
      expect(error).toMatchObject({ code: 'unavailable' })
      failures += 1
    }
  }
  await expect.poll(() => store.ping().then(() => 'up'), { timeout: 10_000 }).toBe('up')
  await expect.poll(() => postgres.pid(), { timeout: 10_000 }).not.toBe(killed)
  const { events } = await store.readEvents(id, { afterSeq: 0, limit: 1_000 })
  // The last one may have been committed without an answer.
  expect(events.length).toBeGreaterThanOrEqual(acknowledged)
  expect(events.length).toBeLessThanOrEqual(acknowledged + 1)
  expect(events.at(-1)?.seq).toBe(events.length)
})

test('the server ends when its parent is killed', async () => {
  const { parent, pid } = await startParent()
  expect(await isServerProcess(pid, dataDir)).toBe(true)
  await kill(parent)
  expect(await waitUntilGone(pid, dataDir, GONE_LIMIT_MS)).toBe(true)
})

test('a parent that comes at once after a killed one finds a server in order', async () => {
  const { parent } = await startParent()
  await kill(parent)
  const postgres = await start()
  const pid = postgres.pid()
  const store = await open(postgres)
  await store.ping()
  expect(postgres.pid()).toBe(pid)
})

test('a second parent is refused while the first one lives', async () => {
  const first = await start()
  await expect(start()).rejects.toMatchObject({ code: 'conflict', reason: 'database_in_use' })
  expect(await isServerProcess(first.pid(), dataDir)).toBe(true)
})

test('a server that lost parent and watchdog is taken over, and watched again', async () => {
  const first = await startParent()
  await killWatchdog(first.parent, first.pid)
  await kill(first.parent)
  expect(await isServerProcess(first.pid, dataDir)).toBe(true)
  const second = await startParent()
  expect(second.pid).toBe(first.pid)
  await kill(second.parent)
  expect(await waitUntilGone(first.pid, dataDir, GONE_LIMIT_MS)).toBe(true)
})

test('a server that was taken over ends with its new parent and restarts when it is killed', async () => {
  const first = await startParent()
  await killWatchdog(first.parent, first.pid)
  await kill(first.parent)
  const postgres = await start()
  expect(postgres.pid()).toBe(first.pid)
  process.kill(first.pid, 'SIGKILL')
  await expect.poll(() => postgres.pid(), { timeout: 10_000 }).not.toBe(first.pid)
  const pid = postgres.pid()
  await postgres.stop()
  expect(await isServerProcess(pid, dataDir)).toBe(false)
})

test('a server whose socket is elsewhere is replaced', async () => {
  const first = await startParent()
  await killWatchdog(first.parent, first.pid)
  await kill(first.parent)
  socketDir = join(place.folder, 't')
  const postgres = await start()
  expect(postgres.pid()).not.toBe(first.pid)
  expect(await isServerProcess(first.pid, dataDir)).toBe(false)
})

test('a left pid file does no harm, also when another program has the number by now', async () => {
  for (const pid of [process.pid, 4_194_304]) {
    const lines = [pid, dataDir, 1, 5432, socketDir, '', '', 'ready', '']
    await writeFile(join(dataDir, 'postmaster.pid'), lines.join('\n'))
    await writeFile(join(socketDir, '.s.PGSQL.5432.lock'), lines.join('\n'))
    const postgres = await start()
    expect(postgres.pid()).not.toBe(pid)
    await postgres.stop()
  }
})

test('folders that are not a database of this version are left alone', async () => {
  const other = join(place.folder, 'other')
  await mkdir(other)
  await writeFile(join(other, 'precious.txt'), 'x')
  await expect(start({ dataDir: other })).rejects.toMatchObject({ reason: 'data_dir_not_empty' })
  await writeFile(join(other, 'PG_VERSION'), '15\n')
  await expect(start({ dataDir: other })).rejects.toMatchObject({ reason: 'database_version' })
  expect(await readdir(other)).toEqual(['PG_VERSION', 'precious.txt'])
})

test('an initialisation that was cut off is begun anew', async () => {
  const fresh = join(place.folder, 'fresh')
  await mkdir(join(`${fresh}.new-1`, 'base'), { recursive: true })
  await start({ dataDir: fresh })
  expect((await readdir(place.folder)).filter((name) => name.startsWith('fresh'))).toEqual([
    'fresh',
  ])
})

test.runIf(isRoot)('root has to name the user of the server', async () => {
  const options = { binDir: place.binDir, dataDir, socketDir, logger }
  const started = startEmbeddedPostgres(options)
  await expect(started).rejects.toMatchObject({ reason: 'postgres_needs_user' })
})

test.runIf(isRoot && canMount())(
  'a full disk is said at the start and while running',
  async () => {
    const url = (name: string) => JSON.stringify(new URL(name, import.meta.url).href)
    const program = `
    import { rm, writeFile } from 'node:fs/promises'
    import { startEmbeddedPostgres } from ${url('./embedded-postgres.ts')}
    import { openStore } from ${url('../store.ts')}
    import { createSilentLogger } from ${url('../../lib/logger.ts')}
    import { appends, nextTestId, renamed } from ${url('../session.fixture.ts')}
    const { folder, ...place } = JSON.parse(process.argv[1])
    const logger = createSilentLogger()
    const start = (disk) => startEmbeddedPostgres(
      { ...place, dataDir: folder + disk + '/data', socketDir: folder + '/x', logger })
    const attempt = (work) => work().then(() => 'fine', (error) => error.code)
    const said = [await attempt(() => start('/small'))]
    const postgres = await start('/large')
    const store = await openStore({ connection: postgres.connection, logger })
    const id = nextTestId()
    const write = () => attempt(() => store.change(id, appends(id, [renamed('x'.repeat(100_000 ))])))
    said.push(await write())
    await writeFile(folder + '/large/fill', Buffer.alloc(200 << 20)).catch(() => undefined)
    let last = 'fine'
    let written = 1
    while (last === 'fine') { last = await write(); if (last === 'fine') written += 1 }
    said.push(last)
    await rm(folder + '/large/fill')
    do last = await write(); while (last !== 'fine')
    said.push(last)
    const kept = (await store.readEvents(id, { afterSeq: 0, limit: 9999 })).events.length
    said.push(kept === written + 1)
    await store.close()
    await postgres.stop()
    console.log(JSON.stringify(said))`
    const script = `mkdir -p "$2/small" "$2/large"; mount -t tmpfs -o size=10m,mode=711 none "$2/small"
    mount -t tmpfs -o size=100m,mode=711 none "$2/large"; exec "$0" --input-type=module -e "$1" "$3"`
    const args = ['-m', 'sh', '-c', script, process.execPath, program, place.folder]
    const child = spawn('unshare', [...args, JSON.stringify(place)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [said] = await once(child.stdout, 'data')
    expect(JSON.parse(String(said))).toEqual(['no_space', 'fine', 'no_space', 'fine', true])
  },
  60_000,
)

function canMount(): boolean {
  try {
    execFileSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'none', '/mnt'], { stdio: 'ignore' })
    return true
  } catch {
    // Root without the right to mount, as in many containers.
    return false
  }
}
