import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createAnnouncements } from './announcements.ts'

let directory: string
let asked = 0
beforeEach(async () => {
  asked = 0
  directory = await mkdtemp(join(tmpdir(), 'errand-announced-'))
  await configure('sha1')
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const configure = (format: string) => writeFile(join(directory, 'config'), format)
const ask = async () => Buffer.from(`answer ${++asked}`)
const settings = [['uploadpack.allowFilter', 'true']] as const

it('asks git once for all that have the same configuration, settings and protocol', async () => {
  let now = 0
  const announcements = createAnnouncements(() => now)
  const of = async (change: object = {}) => {
    const announcing = { directory, settings, protocol: 'version=2', ...change }
    return (await announcements.of(announcing, ask)).toString()
  }
  expect([await of(), await of()]).toEqual(['answer 1', 'answer 1'])
  expect(await of({ settings: [] })).toBe('answer 2')
  expect(await of({ protocol: 'version=2:x=1' })).toBe('answer 3')
  await configure('sha256')
  expect(await of()).toBe('answer 4')
  now += 60_000
  expect(await of()).toBe('answer 5')
})

it('keeps no failure, and reads no repository that is not there', async () => {
  const announcements = createAnnouncements(() => 0)
  const announcing = { directory, settings, protocol: 'version=2' }
  const fail = () => Promise.reject(new Error('git failed'))
  await expect(announcements.of(announcing, fail)).rejects.toThrow('git failed')
  expect((await announcements.of(announcing, ask)).toString()).toBe('answer 1')
  const elsewhere = { ...announcing, directory: join(directory, 'missing') }
  await expect(announcements.of(elsewhere, ask)).rejects.toThrow('ENOENT')
})
