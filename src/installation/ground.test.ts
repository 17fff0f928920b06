import { chmod, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { readConfig } from '../config.ts'
import { withFileLimit } from '../lib/file-limit.fixture.ts'
import { gatherCertificates, layoutOf, prepareGround } from './ground.ts'

/** As an ordinary user, in a folder that is not there yet. */
async function openPlace() {
  const top = await mkdtemp(join(tmpdir(), 'errand-ground-'))
  onTestFinished(() => rm(top, { recursive: true, force: true }))
  const at = { codeDir: join(top, 'code'), runtimeDir: join(top, 'run'), isRoot: false }
  const config = { ...readConfig({ dataDir: join(top, 'data') }), ...at }
  return { config, layout: layoutOf(config) }
}

const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8)

it('has a whole sealing key at the next start when the disk was full at the first one', async () => {
  const { config, layout } = await openPlace()
  await withFileLimit(16, () =>
    expect(prepareGround(config, layout)).rejects.toMatchObject({ code: 'EFBIG' }),
  )
  await prepareGround(config, layout)
  const key = await readFile(layout.keyFile)
  expect(key).toHaveLength(32)
  await prepareGround(config, layout)
  expect(await readFile(layout.keyFile)).toEqual(key)
  const names = (await readdir(dirname(layout.keyFile))).toSorted()
  expect(names).toEqual(['authority.key', 'authority.pem', 'sealing.key'])
})

it('lets each program read what it needs, however closed the files of who starts it are', async () => {
  const { config, layout } = await openPlace()
  const before = process.umask(0o077)
  onTestFinished(() => void process.umask(before))
  const own = { extraCaFiles: [layout.authorityFile] }
  const modes = async () => {
    await prepareGround(config, layout)
    await gatherCertificates(own, layout)
    return await Promise.all(
      [layout.keyFile, layout.authorityFile, layout.caFile, layout.authorityKeyFile].map(modeOf),
    )
  }
  const wanted = ['640', '644', '644', '400']
  expect(await modes()).toEqual(wanted)
  // As a start left them that could not go on.
  for (const path of [layout.keyFile, layout.authorityFile, layout.caFile]) await chmod(path, 0o600)
  expect(await modes()).toEqual(wanted)
})
