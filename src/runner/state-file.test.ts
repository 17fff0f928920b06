import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
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
    openStateFile(path).set({ conversationId: 'c' })
    const second = openStateFile(path)
    second.set({ pushPending: true })
    expect(openStateFile(path).get()).toMatchObject({ conversationId: 'c', pushPending: true })
  })

  it.each(['', '{', '[]', '{"turn":7}'])('begins anew from %j', async (content) => {
    openStateFile(path).set({})
    await writeFile(path, content)
    expect(openStateFile(path).get()).toMatchObject({ conversationId: null, openQuestions: [] })
  })
})
