import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readDefinition, stepKeys } from './definition.ts'

const ROOT = join(import.meta.dirname, '../..')
let copy: string

beforeAll(async () => {
  copy = await mkdtemp(join(tmpdir(), 'errand-definition-'))
  await cp(join(ROOT, 'images'), join(copy, 'images'), { recursive: true })
})
afterAll(() => rm(copy, { recursive: true, force: true }))

describe('the definition of universal', () => {
  it('names scripts that are there, each with its tools, and says why what is absent is', async () => {
    const { folder, steps, absent } = await readDefinition(ROOT, 'universal')
    const scripts = (await readdir(folder)).filter((name) => name.endsWith('.sh'))
    expect(steps.flatMap(({ script }) => script ?? []).toSorted()).toEqual(scripts.toSorted())
    for (const step of steps) expect(step.apt === undefined).toBe(step.script !== undefined)
    for (const { reason } of absent) expect(reason.length).toBeGreaterThan(20)
  })

  it('is the only one that can be built', async () => {
    for (const name of ['nothing', '../universal', 'Universal'])
      await expect(readDefinition(ROOT, name)).rejects.toMatchObject({
        reason: 'image_not_defined',
      })
  })
})

describe('the keys of steps', () => {
  it('stay while nothing changes; a change of one step changes it and those after it alone', async () => {
    const definition = await readDefinition(copy, 'universal')
    const before = await stepKeys(definition)
    expect(await stepKeys(definition)).toEqual(before)
    const at = definition.steps.findIndex(({ script }) => script === 'go.sh')
    await writeFile(join(definition.folder, 'go.sh'), 'echo changed\n')
    const after = await stepKeys(definition)
    const same = after.map((key, index) => key === before[index])
    expect(same).toEqual(before.map((_, index) => index <= at))
  })

  it('all change with what every step reads', async () => {
    const definition = await readDefinition(copy, 'universal')
    const before = await stepKeys(definition)
    await writeFile(join(copy, 'images/prelude.sh'), 'set -e\n')
    const after = await stepKeys(definition)
    expect(after.filter((key) => before.includes(key))).toEqual([])
  })
})
