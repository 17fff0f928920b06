import { mkdtemp, open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { readTemplate, writeTemplate } from './disk-template.ts'

const MIB = 1 << 20
let folder = ''
const at = (name: string) => join(folder, name)

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-disk-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
})

describe('a template', () => {
  it('repeats data and holes', async () => {
    await writeFile(at('a'), 'begin')
    await truncate(at('a'), 64 * MIB)
    const file = await open(at('a'), 'r+')
    await file.write('middle', 32 * MIB)
    await file.close()
    const template = await readTemplate(at('a'))
    await writeTemplate(at('b'), 64 * MIB, template ?? [])
    expect((await readFile(at('b'))).equals(await readFile(at('a')))).toBe(true)
    expect((await stat(at('b'))).blocks * 512).toBeLessThan(MIB)
  })

  it('is not kept of a file full of data, nor of one without', async () => {
    await writeFile(at('full'), Buffer.alloc(17 * MIB, 1))
    await writeFile(at('empty'), '')
    await truncate(at('empty'), MIB)
    expect(await readTemplate(at('full'))).toBeUndefined()
    expect(await readTemplate(at('empty'))).toBeUndefined()
  })
})
