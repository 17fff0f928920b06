import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { readConfig } from '../config.ts'
import { withFileLimit } from '../lib/file-limit.fixture.ts'
import { layoutOf, prepareGround } from './ground.ts'

it('has a whole sealing key at the next start when the disk was full at the first one', async () => {
  const top = await mkdtemp(join(tmpdir(), 'errand-ground-'))
  onTestFinished(() => rm(top, { recursive: true, force: true }))
  const at = { codeDir: join(top, 'code'), runtimeDir: join(top, 'run'), isRoot: false }
  const config = { ...readConfig({ dataDir: join(top, 'data') }), ...at }
  const layout = layoutOf(config)
  await withFileLimit(16, () =>
    expect(prepareGround(config, layout)).rejects.toMatchObject({ code: 'EFBIG' }),
  )
  await prepareGround(config, layout)
  const key = await readFile(layout.keyFile)
  expect(key).toHaveLength(32)
  expect((await stat(layout.keyFile)).mode & 0o777).toBe(0o640)
  await prepareGround(config, layout)
  expect(await readFile(layout.keyFile)).toEqual(key)
  const names = (await readdir(dirname(layout.keyFile))).toSorted()
  expect(names).toEqual(['authority.key', 'authority.pem', 'sealing.key'])
})
