// What is remembered on a disk that is full, with a real one.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { runChecked } from '../lib/process.ts'
import { failOnDisk } from './state-file.fixture.ts'
import { openStateFile } from './state-file.ts'

let disk: string
beforeEach(async () => {
  disk = await mkdtemp(join(tmpdir(), 'errand-full-'))
  await runChecked('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'errand-test', disk])
})
afterEach(async () => {
  await runChecked('umount', [disk])
  await rm(disk, { recursive: true })
})

it('notes what is started though the disk is full, again and again, so that a command can make room', async () => {
  const path = join(disk, 'state.json')
  openStateFile(path, failOnDisk).set({ conversationId: 'c' })
  const filling = writeFile(join(disk, 'filled'), Buffer.alloc(2 << 20))
  await expect(filling).rejects.toMatchObject({ code: 'ENOSPC' })
  const state = openStateFile(path, failOnDisk)
  for (const id of ['t_1', 't_2', 't_3']) {
    expect(state.set({ turn: { id, before: null } })).toBe(true)
    const known = { conversationId: 'c', turn: { id } }
    expect(openStateFile(path, failOnDisk).get()).toMatchObject(known)
  }
})
