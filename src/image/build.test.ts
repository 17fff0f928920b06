import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { buildImage } from './build.ts'
import { type Definition, stepKeys } from './definition.ts'

/** The first step that is run, where so much is left of an earlier build; all of its steps were done. */
async function firstStep({ root, done }: { root: boolean; done?: string }) {
  const top = await mkdtemp(join(tmpdir(), 'errand-build-'))
  onTestFinished(() => rm(top, { recursive: true, force: true }))
  const folder = join(top, 'images/small')
  await mkdir(folder, { recursive: true })
  for (const name of ['prelude.sh', 'finish.sh']) await writeFile(join(folder, '..', name), '')
  const steps = [{ name: 'chosen', apt: 'chosen', tools: {} }]
  const definition: Definition = { name: 'small', suite: 'trixie', steps, absent: [], folder }
  const building = join(top, 'data/images/building/small')
  await mkdir(root ? join(building, 'rootfs') : building, { recursive: true })
  await writeFile(join(building, 'done.json'), done ?? JSON.stringify(await stepKeys(definition)))
  const { promise, resolve } = Promise.withResolvers<string>()
  const step = (_at: number, _of: number, name: string) => {
    resolve(name)
    throw new Error('no more is wanted')
  }
  const work = buildImage({
    ...{ dataDir: join(top, 'data'), allowedNetworks: [], definition, caFile: '', checkTools: '' },
    machine: { aptSources: '', aptOptions: [], npmRegistry: '', files: [] },
    ...{ proxies: {}, now: () => new Date(), signal: new AbortController().signal },
    progress: { step, line: () => undefined },
  })
  await expect(work).rejects.toThrow('no more is wanted')
  return await promise
}

it('goes on where it was, and begins anew where what was done is gone or not known', async () => {
  expect(await firstStep({ root: true })).toBe('manifest')
  // Ended after the image had been put in its place, before the rest was taken away.
  expect(await firstStep({ root: false })).toBe('Debian trixie')
  // After a failure of power.
  expect(await firstStep({ root: true, done: '' })).toBe('Debian trixie')
})
