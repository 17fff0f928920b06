// Submodules that lie on this disk stand for those that cannot be had: nothing but the usual protocols is gone after.
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { runChecked } from '../../lib/process.ts'
import { rewrittenSubmoduleUrl } from '../../protocol/git-door.ts'
import { bringSubmodules } from './submodules.ts'

const signal = new AbortController().signal
let root: string
let folder: string
const lines: string[] = []
const variables = () => ({ PATH: '/usr/local/bin:/usr/bin:/bin', HOME: root })
const rewrites = () => join(root, 'rewrites')
const git = (...args: string[]) => runChecked('git', args, { cwd: folder, env: variables() })
const bring = (change: Record<string, string> = {}, until = signal) =>
  bringSubmodules(
    { folder, variables: { ...variables(), ...change }, rewrites: rewrites() },
    (more) => lines.push(...more),
    until,
  )

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'errand-submodules-'))
  folder = join(root, 'work')
  await mkdir(folder)
  lines.length = 0
  await git('init', '--quiet')
  await git(
    '-c',
    'user.name=U',
    '-c',
    'user.email=u@example.com',
    'commit',
    '-qm',
    'x',
    '--allow-empty',
  )
})
afterEach(() => rm(root, { recursive: true, maxRetries: 3 }))

async function add(submodules: Record<string, string>): Promise<void> {
  const head = (await git('rev-parse', 'HEAD')).trim()
  const said = Object.entries(submodules).map(
    ([path, url]) => `[submodule "${path}"]\n\tpath = ${path}\n\turl = ${url}\n`,
  )
  for (const path of Object.keys(submodules))
    await git('update-index', '--add', '--cacheinfo', `160000,${head},${path}`)
  await writeFile(join(folder, '.gitmodules'), said.join(''))
}

it('starts no program for a checkout that has none', async () => {
  await bring({ PATH: join(root, 'nothing') })
  expect(lines).toEqual([])
})

it('names each that cannot be had, runs nothing that an address asks for, and goes on', async () => {
  const mark = join(root, 'ran')
  await add({ ä: folder, helper: `ext::touch ${mark}`, option: `-u${mark}` })
  await bring({ GIT_ALLOW_PROTOCOL: 'file:ext' })
  expect(lines.at(-1)).toBe('The session goes on without these submodules: ä, helper, option')
  expect(lines.join('\n')).toMatch(/transport 'file' not allowed/)
  expect(existsSync(mark)).toBe(false)
})

it('stops with the phase', async () => {
  await add({ one: folder })
  await expect(bring({}, AbortSignal.abort(new Error('over')))).rejects.toThrow('over')
})

it('leads ssh addresses to the door, and leaves the others where they are', async () => {
  await git('remote', 'add', 'origin', 'git@forge.example:team/shop.git')
  await add({ lib: '../lib.git', plain: 'http://plain.example/x', far: 'https://far.example/x' })
  // Nobody is asked for a name, and nothing leaves.
  const nowhere = { http_proxy: 'http://127.0.0.1:1', https_proxy: 'http://127.0.0.1:1' }
  await bring({ GIT_CONFIG_SYSTEM: rewrites(), ...nowhere })
  const text = await readFile(rewrites(), 'utf8')
  const door = (url: string) => `[url "${rewrittenSubmoduleUrl(url)}"]`
  expect(text).toContain(door('git@forge.example:team/lib.git'))
  expect(text).toContain('insteadOf = "git@forge.example:team/lib"\n')
  expect(text).not.toMatch(/plain\.example|far\.example/)
  // git itself goes where the file says.
  expect(lines.join('\n')).toContain(`${new URL(rewrittenSubmoduleUrl('')).host}`)
  await bring({ GIT_CONFIG_SYSTEM: rewrites(), ...nowhere })
  expect(await readFile(rewrites(), 'utf8')).toBe(text)
})
