// What earlier versions have stored is read by this one: every event parses, and the events alone give the stored state.
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { goldenVersions, readExpected, type Unpacked, unpackGolden } from '../test/golden/open.ts'
import { applyEvent, emptyView } from './protocol/apply-event.ts'
import { parseEvent, type SessionEvent } from './protocol/event.ts'
import { sessionStateSchema } from './protocol/session.ts'
import { isKnownSchema } from './store/migrate.ts'
import { createSealer } from './store/sealing.ts'

const json = (text: string | null | undefined): unknown => JSON.parse(text ?? '')

describe.each(goldenVersions)('the data of version %s', (version) => {
  const expected = readExpected(version)
  let golden: Unpacked
  const events = new Map<string, SessionEvent[]>()

  beforeAll(async () => {
    golden = await unpackGolden(version)
    for (const row of await golden.rows('events')) {
      const { session_id: sessionId, seq, at, source, body } = row
      const time = new Date(at ?? '').toISOString()
      const event = parseEvent({ sessionId, seq: Number(seq), at: time, source, body: json(body) })
      expect(event, `${sessionId} ${seq} ${body}`).toBeDefined()
      const known = events.get(sessionId ?? '') ?? []
      events.set(sessionId ?? '', event ? [...known, event] : known)
    }
  })
  afterAll(() => rm(golden.folder, { recursive: true, force: true }))

  it('is of a schema that this version knows', () => {
    expect(golden.manifest.version).toBe(version)
    expect(isKnownSchema(golden.manifest.schema)).toBe(true)
  })

  it.each(expected)('has session $title with every event', ({ id, types, lastSeq }) => {
    expect(events.get(id)?.map(({ body }) => body.type)).toEqual(types)
    expect(events.get(id)?.map(({ seq }) => seq)).toEqual(types.map((_, index) => index + 1))
    expect(events.get(id)?.at(-1)?.seq).toBe(lastSeq)
  })

  it('gives each stored state by its events alone', async () => {
    const rows = await golden.rows('sessions')
    expect(rows.map(({ id }) => id)).toEqual(expected.map(({ id }) => id))
    for (const { id, state } of rows) {
      const { session } = (events.get(id ?? '') ?? []).reduce(applyEvent, emptyView)
      expect(sessionStateSchema.safeParse(json(state)).error).toBeUndefined()
      // A later version may tell more by the same events.
      expect(session).toMatchObject(json(state) as object)
    }
  })

  it('has a credential that its key opens', async () => {
    const sealer = createSealer(await readFile(join(golden.folder, 'keys/sealing.key')))
    const [row] = await golden.rows('credentials')
    const { id, owner_id, host, kind, username, secret } = row ?? {}
    const sealed = Buffer.from(secret?.slice(2) ?? '', 'hex')
    const context = JSON.stringify([id, owner_id, host, kind, username])
    expect(sealer.open(sealed, context)).toBe('golden-credential')
  })

  it('is small and names no place of the machine that it was made on', async () => {
    const bytes = golden.manifest.files.reduce((sum, file) => sum + file.bytes, 0)
    expect(bytes).toBeLessThan(3_000_000)
    for (const { name } of golden.manifest.files) {
      const content = await readFile(join(golden.folder, name), 'latin1')
      expect(content).not.toMatch(/\/(tmp|home|root|work|var\/lib)\//)
    }
  })
})
