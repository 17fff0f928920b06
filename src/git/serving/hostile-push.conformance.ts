// Pushes as no git client makes them, sent to real receive-pack through the door: whatever the packet lines say, nothing but the
// scope is written. Names are drawn by fast-check; the oracle is the list of refs in the repository itself.
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { BRANCH, createScene, type Scene, type StartedSession } from '../room.fixture.ts'

let scene: Scene
let session: StartedSession
let refsBefore: string

const directory = () => `${scene.room.dataDir}/sessions/${session.sessionId}.git`
const refsHere = () => scene.room.workbench.git(directory(), ['for-each-ref'])
const refsUpstream = () => scene.room.workbench.git(scene.upstream.directory, ['for-each-ref'])

beforeAll(async () => {
  scene = await createScene()
  session = await scene.start()
  refsBefore = `${await refsHere()}\n${await refsUpstream()}`
})

afterAll(async () => {
  await scene.close()
})

const ZERO = '0'.repeat(40)
/** A pack of no objects: all that is named is there already. */
const EMPTY_PACK = Buffer.from(
  '5041434b0000000200000000029d08823bd8a8eab510ad6ac75c823cfd3ed31e',
  'hex',
)

const packet = (text: string | Buffer): Buffer => {
  const body = Buffer.from(text)
  return Buffer.concat([Buffer.from((body.length + 4).toString(16).padStart(4, '0')), body])
}

interface Sent {
  refs: readonly string[]
  capabilities?: string
  pack?: Buffer
}

function pushBody({ refs, capabilities = 'report-status', pack = EMPTY_PACK }: Sent): Buffer {
  const lines = refs.map((ref, index) =>
    packet(`${ZERO} ${session.commit} ${ref}${index === 0 ? `\0 ${capabilities}` : ''}`),
  )
  return Buffer.concat([...lines, Buffer.from('0000'), pack])
}

async function send(body: Buffer, headers: Record<string, string> = {}): Promise<string> {
  const door = scene.room.door(session.sessionId, { grants: { branches: ['side'], rewrite: true } })
  const type = 'application/x-git-receive-pack-request'
  const response = await fetch(`${door}/git-receive-pack`, {
    ...{ method: 'POST', body, headers: { 'content-type': type, ...headers } },
  })
  return response.text()
}

const untouched = async () =>
  expect(`${await refsHere()}\n${await refsUpstream()}`).toBe(refsBefore)

const pieces = fc.constantFrom(
  ...['refs/heads/', 'refs/tags/', 'refs/', 'REFS/HEADS/', 'refs/heads/../', '/', '', ' '],
)
const names = fc.constantFrom(
  ...[BRANCH, BRANCH.toUpperCase(), 'side', 'Side', 'main', 'HEAD', '@', 'a'.repeat(64)],
)
const ends = fc.constantFrom(
  ...['/', '/x', '..', '@{0}', '^{}', '.lock', ' ', '\n', '\t', '~1', ':main', '\0\0', 'x', '.'],
)
const inScope = [`refs/heads/${BRANCH}`, 'refs/heads/side']
/** Never one of the two refs that this push may write. What git reads ends at the first zero byte or end of a line. */
const hostile = fc
  .tuple(pieces, names, ends)
  .map((parts) => parts.join(''))
  .filter((ref) => !inScope.includes(ref.split(/[\0\n]/)[0] ?? ''))

it('writes no ref beside the scope, whatever is asked for', async () => {
  const capabilities = fc.constantFrom(
    ...['report-status', 'report-status atomic', 'report-status side-band-64k', 'push-options', ''],
    ...['report-status object-format=sha256', 'report-status delete-refs ofs-delta quiet'],
  )
  await fc.assert(
    fc.asyncProperty(
      fc.array(hostile, { minLength: 1, maxLength: 3 }),
      capabilities,
      fc.boolean(),
      async (refs, asked, packed) => {
        const body = pushBody({ refs, capabilities: asked })
        await send(packed ? gzipSync(body) : body, packed ? { 'content-encoding': 'gzip' } : {})
        await untouched()
      },
    ),
    { numRuns: 25 },
  )
}, 120_000)

it('writes nothing for two branches at once, signed pushes, options and lines that are cut or lie', async () => {
  const own = `refs/heads/${BRANCH}`
  const good = pushBody({ refs: [own] })
  const lie = Buffer.from(good)
  lie.write('fff0', 0)
  const certificate = [
    ...['certificate version 0.1', 'pusher Ann <ann@example.org> 0 +0000', 'nonce 1', ''],
    ...[`${ZERO} ${session.commit} refs/heads/main`, '-----BEGIN PGP SIGNATURE-----', 'x'],
  ]
  const signed = Buffer.concat([
    packet(`push-cert\0 report-status`),
    ...certificate.map((line) => packet(`${line}\n`)),
    ...[packet('push-cert-end\n'), Buffer.from('0000'), EMPTY_PACK],
  ])
  const bodies: [string, Buffer][] = [
    ['two branches', pushBody({ refs: [own, 'refs/heads/side'] })],
    [
      'one good, one bad',
      pushBody({ refs: [own, 'refs/heads/main'], capabilities: 'report-status atomic' }),
    ],
    [
      'an id of 64 digits',
      Buffer.concat([
        packet(`${'0'.repeat(64)} ${'a'.repeat(64)} ${own}\0 report-status`),
        Buffer.from('0000'),
        EMPTY_PACK,
      ]),
    ],
    ['a length that lies', lie],
    ['no length', Buffer.from('zzzz')],
    ['cut in the middle', good.subarray(0, 60)],
    ['no pack', good.subarray(0, good.length - EMPTY_PACK.length)],
    ['a signed push', signed],
    [
      'options',
      pushBody({ refs: ['refs/heads/main'], capabilities: 'report-status push-options' }),
    ],
    [
      'shallow',
      Buffer.concat([packet(`shallow ${session.commit}`), pushBody({ refs: ['refs/heads/main'] })]),
    ],
    ['nothing', Buffer.alloc(0)],
    ['a flush', Buffer.from('0000')],
  ]
  for (const [what, body] of bodies) {
    await send(body)
    expect(`${await refsHere()}\n${await refsUpstream()}`, what).toBe(refsBefore)
  }
  // The answer has begun by then: it is cut off.
  await send(Buffer.from('not gzip'), { 'content-encoding': 'gzip' }).catch(() => undefined)
  await untouched()
}, 60_000)

it('takes the same bytes for what is in the scope', async () => {
  expect(await send(pushBody({ refs: [`refs/heads/${BRANCH}`] }))).toContain(
    `ok refs/heads/${BRANCH}`,
  )
  expect(await send(pushBody({ refs: ['refs/heads/side'] }))).toContain('ok refs/heads/side')
  const { tip } = await scene.room.client.sessionRefs(session.sessionId)
  expect(tip).toBe(session.commit)
})
