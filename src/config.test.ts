import { chown, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { CLAIM_FILE, readConfig, runtimeDirOf } from './config.ts'

let folder: string | undefined
const makeFolder = async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'errand-config-')))
  return folder
}
afterEach(async () => {
  if (folder) await rm(folder, { recursive: true, force: true })
  folder = undefined
})

const git = (env: Record<string, string>) => readConfig({}, env).git

it('takes the branches and the identity of the installation from its variables', () => {
  expect(git({})).toEqual({ branchTemplate: null, identity: null })
  expect(
    git({
      ERRAND_BRANCH_TEMPLATE: 'agents/{user}/{slug}',
      ERRAND_GIT_IDENTITY: ' Ann Example <ann@example.com> ',
    }),
  ).toEqual({
    branchTemplate: 'agents/{user}/{slug}',
    identity: { name: 'Ann Example', email: 'ann@example.com' },
  })
})

it('says how to write them when they cannot be used', () => {
  for (const template of ['agents..{slug}', '-x', 'a b/{slug}'])
    expect(() => git({ ERRAND_BRANCH_TEMPLATE: template }), template).toThrow('errand/{slug}')
  for (const person of ['Ann', 'ann@example.com', '<ann@example.com>', 'Ann <>', 'A\nB <a@b>'])
    expect(() => git({ ERRAND_GIT_IDENTITY: person }), person).toThrow('Ann Example <')
})

it('knows a data folder again by another path, and before it is made', async () => {
  const at = await makeFolder()
  await mkdir(join(at, 'disk/errand'), { recursive: true })
  await symlink(join(at, 'disk'), join(at, 'link'))
  const dirOf = (path: string) => runtimeDirOf(join(at, path), { uid: 0, env: {} })
  for (const name of ['errand', 'not/there/yet'])
    expect(dirOf(`link/${name}`)).toBe(dirOf(`disk/${name}`))
  expect(dirOf('disk')).not.toBe(dirOf('disk/errand'))
})

it('finds what an ordinary user has started from a shell with other variables, and nothing of others', async () => {
  const at = await makeFolder()
  const uid = process.getuid?.() || 4_242_424
  const dirWith = (env: Record<string, string>) => runtimeDirOf(join(at, 'data'), { uid, env })
  const bare = dirWith({})
  const login = { XDG_RUNTIME_DIR: join(at, 'run') }
  expect(dirWith(login)).toBe(join(at, 'run/errand', basename(bare)))
  const claim = join(bare, CLAIM_FILE)
  try {
    await mkdir(bare, { recursive: true })
    await writeFile(claim, '1')
    await chown(claim, uid, process.getgid?.() ?? 0)
    expect(dirWith(login)).toBe(bare)
    if (process.getuid?.() === 0) {
      await chown(claim, uid + 1, 0)
      expect(dirWith(login)).not.toBe(bare)
    }
  } finally {
    await rm(dirname(bare), { recursive: true, force: true })
  }
})
