import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { withFileLimit } from '../lib/file-limit.fixture.ts'
import { failOnDisk } from './state-file.fixture.ts'
import { openStateFile } from './state-file.ts'

let folder: string
let path: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-state-'))
  path = join(folder, 'below', 'state.json')
})
afterEach(() => rm(folder, { recursive: true }))

describe('openStateFile', () => {
  it('remembers over a restart', () => {
    openStateFile(path, failOnDisk).set({ conversationId: 'c' })
    const second = openStateFile(path, failOnDisk)
    second.set({ pushPending: true })
    expect(openStateFile(path, failOnDisk).get()).toMatchObject({
      conversationId: 'c',
      pushPending: true,
    })
  })

  it('keeps what it has when the disk is full, and stops nothing', async () => {
    const errors: unknown[] = []
    const state = openStateFile(path, (error) => errors.push(error))
    state.set({ conversationId: 'c' })
    await withFileLimit(20, async () => {
      expect(state.set({ pushPending: true })).toBe(false)
    })
    expect(errors).toMatchObject([{ code: 'EFBIG' }])
    expect(state.get().pushPending).toBe(true)
    expect(openStateFile(path, failOnDisk).get()).toMatchObject({ conversationId: 'c' })
    state.set({ settingsTold: 'x' })
    const again = openStateFile(path, failOnDisk).get()
    expect(again).toMatchObject({ conversationId: 'c', pushPending: true, settingsTold: 'x' })
  })

  it.each(['', '{', '[]', '{"turn":7}'])('begins anew from %j', async (content) => {
    openStateFile(path, failOnDisk).set({})
    await writeFile(path, content)
    expect(openStateFile(path, failOnDisk).get()).toMatchObject({
      conversationId: null,
      openQuestions: [],
    })
  })
})
