// Makes the golden data of this version: node scripts/make-golden.ts. Run it when a version is released, and before that
// whenever what it stores changes; never for a version that is out, since its data is what later versions are held to.
// Sessions, ids and times are the same each time; the hashes of tokens and the times of accounts are not.
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeBackup } from '../src/backup/backup.ts'
import { createRepositories } from '../src/git/repositories.ts'
import { createAccounts } from '../src/http/sign-in/accounts.ts'
import { createSilentLogger } from '../src/lib/logger.ts'
import { encodeLine } from '../src/lib/ndjson.ts'
import { runChecked } from '../src/lib/process.ts'
import { eventBodySchema } from '../src/protocol/event.ts'
import { isUnreadable, unreadableError } from '../src/protocol/found-session.ts'
import { createDispatch } from '../src/sessions/dispatch.ts'
import { defaultRules } from '../src/sessions/rules/decide.ts'
import { startTestDatabase } from '../src/store/postgres/database.fixture.ts'
import type { Store } from '../src/store/store.ts'
import {
  branchOf,
  type GoldenRepository,
  goldenId,
  makeGoldenSessions,
} from '../test/golden/sessions.ts'

const root = join(import.meta.dirname, '..')
const EPOCH = Date.parse('2026-01-01T00:00:00Z')
const STEP_MS = 1_000
const WITH_REPOSITORY = [3, 4, 5, 6, 7]
const PUSHED = 5
/** Of no installation. */
const SEALING_KEY = createHash('sha256').update('golden').digest()

const version: string = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')).version
const target = join(root, 'test/golden', version)
const work = await mkdtemp(join(tmpdir(), 'errand-golden-'))
const database = await startTestDatabase()
try {
  let steps = 0
  const clock = () => {
    steps += 1
    return new Date(EPOCH + steps * STEP_MS)
  }
  const store = await database.openStore({ clock, sealingKey: SEALING_KEY })
  const ownerId = await makePeople(store)
  const repository = await makeRepositories(ownerId)
  const dispatch = createDispatch(store, defaultRules)
  await makeGoldenSessions({ store, dispatch, ownerId, repository })
  await mkdir(join(work, 'keys'))
  await writeFile(join(work, 'keys/sealing.key'), SEALING_KEY)
  await rm(target, { recursive: true, force: true })
  await mkdir(target, { recursive: true })
  await writeFile(join(target, 'expected.ndjson'), await describe(store, ownerId))
  const folder = join(work, 'backup')
  await mkdir(folder)
  const file = join(target, 'backup.tar.gz')
  const { connection } = database
  await writeBackup({
    connection,
    dataDir: work,
    version,
    createdAt: new Date(EPOCH),
    folder,
    file,
  })
  process.stdout.write(`${file}: ${(await readFile(file)).length} bytes\n`)
} finally {
  await database.stop()
  await rm(work, { recursive: true, force: true })
}

/** An owner, a member, a token, an environment and a credential. */
async function makePeople(store: Store): Promise<string> {
  const secret = SEALING_KEY.toString('base64url')
  await store.settings.set('auth.secret', secret)
  const publicUrl = 'http://localhost'
  const accounts = await createAccounts({ pool: store.pool, publicUrl, secret })
  const owner = await accounts.ensureOwner()
  await accounts.addUser({ name: 'Ann', email: 'ann@example.com', role: 'member' })
  await accounts.createToken(owner.id, 'golden')
  await store.environments.ensureDefault(owner.id)
  await store.credentials.create({
    ...{ ownerId: owner.id, host: 'git.example', kind: 'https', username: 'deploy' },
    secret: 'golden-credential',
  })
  return owner.id
}

async function makeRepositories(ownerId: string): Promise<GoldenRepository> {
  const dataDir = join(work, 'git')
  await mkdir(dataDir)
  const repositories = await createRepositories(
    { dataDir, path: '/usr/bin:/bin', network: { nodePath: process.execPath } },
    {
      log: createSilentLogger(),
      nowMs: () => EPOCH,
      randomBytes: (count) => new Uint8Array(count).fill(1),
    },
  )
  const { uploadId } = await repositories.createUpload(ownerId)
  const checkout = join(work, 'cart')
  const upload = join(dataDir, 'uploads', `${uploadId}.git`)
  await git('init', '--quiet', '-b', 'main', checkout)
  const commit = await commitFile(checkout, 'first')
  await git('-C', checkout, 'push', '--quiet', upload, 'HEAD:refs/heads/main')
  const signal = AbortSignal.timeout(60_000)
  for (const n of WITH_REPOSITORY) {
    const source = { kind: 'upload' as const, uploadId, name: 'cart' }
    const request = { sessionId: goldenId('session', n), ownerId, source, branch: branchOf(n) }
    await repositories.prepare(request, { signal })
  }
  const pushed = await commitFile(checkout, 'second')
  const session = join(dataDir, 'sessions', `${goldenId('session', PUSHED)}.git`)
  await git('-C', checkout, 'push', '--quiet', session, `HEAD:refs/heads/${branchOf(PUSHED)}`)
  await repositories.observations.close()
  return { source: { kind: 'upload', uploadId, name: 'cart', origin: null }, commit, pushed }
}

async function commitFile(checkout: string, name: string): Promise<string> {
  await writeFile(join(checkout, name), `${name}\n`)
  await git('-C', checkout, 'add', '.')
  await git('-C', checkout, 'commit', '--quiet', '-m', `Add ${name}`)
  return git('-C', checkout, 'rev-parse', 'HEAD')
}

async function git(...args: string[]): Promise<string> {
  const [name, email, at] = ['Golden', 'golden@example.com', '2026-01-01T00:00:00Z']
  const env = {
    PATH: '/usr/bin:/bin',
    HOME: work,
    GIT_CONFIG_NOSYSTEM: '1',
    ...{ GIT_AUTHOR_NAME: name, GIT_AUTHOR_EMAIL: email, GIT_AUTHOR_DATE: at },
    ...{ GIT_COMMITTER_NAME: name, GIT_COMMITTER_EMAIL: email, GIT_COMMITTER_DATE: at },
  }
  return (await runChecked('git', args, { env })).trim()
}

/** What every later version has to find, a session a line; refuses when a type of event is missing. */
async function describe(store: Store, ownerId: string): Promise<string> {
  const { sessions } = await store.sessions.list({ ownerId, includeArchived: true, limit: 200 })
  const seen = new Set<string>()
  const described = []
  for (const found of sessions.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
    if (isUnreadable(found)) throw unreadableError(found.id)
    const { id, status, title, lastSeq, sandbox } = found
    const { events } = await store.readEvents(id, { afterSeq: 0, limit: 1_000 })
    const types = events.map(({ body }) => body.type)
    for (const type of types) seen.add(type)
    described.push({ id, title, status, sandbox: sandbox.state, lastSeq, types })
  }
  const all = eventBodySchema.options.map(({ shape }) => shape.type.value)
  const missing = all.filter((type) => !seen.has(type))
  if (missing.length > 0) throw new Error(`no golden session has: ${missing.join(', ')}`)
  return described.map(encodeLine).join('')
}
