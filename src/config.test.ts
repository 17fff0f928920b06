import { chown, mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { CLAIM_FILE, readConfig, runtimeDirOf } from './config.ts'
import { runChecked } from './lib/process.ts'

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

it('refuses addresses and levels that nothing could be done with, and repeats no password', () => {
  const read = (env: Record<string, string>) => () => readConfig({}, env)
  for (const url of ['foo', 'ftp://errand.example.org', 'errand.example.org:80'])
    expect(read({ ERRAND_PUBLIC_URL: url }), url).toThrow('https://errand.example.org')
  for (const url of ['https://a.example/errand', 'https://a.example/?x', 'https://u:p@a.example'])
    expect(read({ ERRAND_PUBLIC_URL: url }), url).toThrow('https://errand.example.org')
  expect(readConfig({}, { ERRAND_PUBLIC_URL: 'https://A.example:443/' }).publicUrl).toBe(
    'https://a.example',
  )
  for (const url of [
    'db.example.org/secret',
    'http://u:secret@db.example.org',
    'postgres://u:secret@h:x/',
  ]) {
    expect(read({ DATABASE_URL: url }), url).toThrow('postgres://user')
    expect(read({ DATABASE_URL: url }), url).not.toThrow('secret')
  }
  expect(read({ ERRAND_LOG_LEVEL: 'loud' })).toThrow('Give one of trace, debug')
  const fine = { ERRAND_PUBLIC_URL: 'https://a.example', DATABASE_URL: 'postgresql:///errand' }
  expect(readConfig({}, { DATABASE_URL: '/run/postgresql errand' })).toHaveProperty('databaseUrl')
  expect(readConfig({}, fine)).toMatchObject({ databaseUrl: fine.DATABASE_URL, logLevel: 'warn' })
})

it('takes what is empty for not given, as of a variable that nobody has set', () => {
  const empty = ['HOST', 'PORT', 'DATA', 'OCI_RUNTIME'].map((name) => [`ERRAND_${name}`, ''])
  const usual = readConfig({}, {})
  expect(readConfig({}, Object.fromEntries(empty))).toEqual(usual)
  expect(readConfig({ host: '', dataDir: '' }, {})).toEqual(usual)
  expect(usual).toMatchObject({ host: '127.0.0.1', ociRuntime: 'runc' })
})

it('knows every variable that it reads, and names those that say nothing', async () => {
  const source = await readFile(join(import.meta.dirname, 'config.ts'), 'utf8')
  const names = [...new Set(source.match(/ERRAND_[A-Z_]+(?=\b)/g))].filter(
    (name) => name.length > 7,
  )
  expect(names.length).toBeGreaterThan(20)
  const env = Object.fromEntries(names.map((name) => [name, '']))
  expect(readConfig({}, env).oddities).toEqual({ unknownVariables: [], missingCaFiles: [] })
  const odd = { ERRAND_STANDBY: '3', SSL_CERT_FILE: '/nowhere/ca.pem' }
  expect(readConfig({}, { ...env, ...odd })).toMatchObject({
    extraCaFiles: [],
    oddities: { unknownVariables: ['ERRAND_STANDBY'], missingCaFiles: ['/nowhere/ca.pem'] },
  })
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

it.runIf(process.getuid?.() === 0)(
  'needs a home folder only for the usual data folder, and says so',
  async () => {
    const program = `
      const { readConfig } = await import(${JSON.stringify(join(import.meta.dirname, 'config.ts'))})
      const folderOf = (named) => {
        try { return readConfig(named).dataDir } catch ({ reason }) { return reason }
      }
      process.setgid(54321)
      process.setuid(54321)
      delete process.env.HOME
      console.log(JSON.stringify([folderOf({}), folderOf({ dataDir: '/srv/x' })]))`
    const args = ['--no-warnings', '--input-type=module', '-e', program]
    const said = await runChecked(process.execPath, args)
    expect(JSON.parse(said)).toEqual(['home_missing', '/srv/x'])
  },
)

it('stops sandboxes that rest after half an hour, after as many minutes as are said, or never', () => {
  const minutes = (value?: string) =>
    readConfig({}, value === undefined ? {} : { ERRAND_IDLE_MINUTES: value }).idleMinutes
  expect([minutes(), minutes('240'), minutes('0')]).toEqual([30, 240, 0])
  for (const value of ['-1', '1.5', 'long', '1000000'])
    expect(() => minutes(value), value).toThrow('ERRAND_IDLE_MINUTES')
})

it('opens private networks that can be read, and none else', () => {
  const networks = (value: string) =>
    readConfig({}, { ERRAND_ALLOWED_NETWORKS: value }).allowedNetworks
  expect(networks('git.example.com=10.1.0.0/16, *.lan.example=fd00::/8,')).toEqual([
    { host: 'git.example.com', network: '10.1.0.0/16' },
    { host: '*.lan.example', network: 'fd00::/8' },
  ])
  expect(networks('git.example.com=10.1.2.3')).toHaveLength(1)
  const pairs = ['git.example.com', 'a.example=10.1.0.0/33', 'a.example=10.1/16', '*=10.0.0.0/8']
  for (const pair of [...pairs, 'https://a.example=10.0.0.0/8', 'a.example=10.0.0.0/8=1'])
    expect(() => networks(pair), pair).toThrow(`has "${pair}". Write host=network`)
})

it('takes a limit of cost with cents', () => {
  const usd = (value: string) => readConfig({}, { ERRAND_SESSION_USD: value }).model.usd
  expect([usd(''), usd('2.50'), usd('20')]).toEqual([0, 2.5, 20])
  for (const value of ['-1', '2,50', 'much'])
    expect(() => usd(value), value).toThrow('Give a number')
})
