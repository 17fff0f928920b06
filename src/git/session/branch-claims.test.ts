import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createId } from '../../protocol/ids.ts'
import { createPaths, type GitPaths, makeFolders } from '../paths.ts'
import { writeRecord } from '../records.ts'
import { type BranchClaims, type BranchWish, createBranchClaims } from './branch-claims.ts'

const URL = 'https://git.example/r.git'
let root: string
let paths: GitPaths
let claims: BranchClaims

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'errand-claims-'))
  paths = createPaths(root)
  await makeFolders(paths)
  claims = createBranchClaims(paths)
})

afterEach(() => rm(root, { recursive: true, force: true }))

const take = (n: number, wish: Partial<BranchWish> & { branches?: string[] } = {}) => {
  const { branches = ['main'], ...rest } = wish
  const refs = new Map(branches.map((name) => [`refs/heads/${name}`, 'c']))
  return claims.take(`session-${n}`, {
    ...{ branch: 'errand/fix', orNumbered: true, baseBranch: 'main', refs, url: URL, ...rest },
  })
}

it('gives each session of an upstream a name of its own, also those that ask at once', async () => {
  const taken = await Promise.all([take(1), take(2), take(3)])
  expect(taken).toEqual(['errand/fix', 'errand/fix-2', 'errand/fix-3'])
  expect(await take(2)).toBe('errand/fix-2')
  expect(await take(4, { url: 'https://git.example/other.git' })).toBe('errand/fix')
  claims.release('session-1')
  expect(await take(5)).toBe('errand/fix')
})

it('passes over what the repository has, and what cannot stand beside it', async () => {
  expect(await take(1, { branches: ['errand/fix', 'errand/fix-2/deeper'] })).toBe('errand/fix-3')
  await expect(take(2, { branches: ['errand'] })).rejects.toMatchObject({
    reason: 'branch_name_taken',
  })
  const exact = { orNumbered: false, branches: ['errand/fix'] }
  await expect(take(3, exact)).rejects.toMatchObject({ reason: 'branch_exists' })
  expect(await take(4, { ...exact, baseBranch: 'errand/fix' })).toBe('errand/fix')
})

it('knows the sessions that were there before it started', async () => {
  const sessionId = createId('session', new Uint8Array(20))
  const directory = paths.session({ sessionId })
  await mkdir(directory)
  await writeRecord(directory, {
    ...{ sessionId, repository: null, access: 'write', ownerId: 'o', name: 'r', commit: 'c' },
    ...{ branch: 'errand/fix', baseBranch: 'main', defaultBranch: 'main' },
    outside: { url: URL, credentialId: null },
  })
  expect(await take(1)).toBe('errand/fix-2')
})

it('finds names again after the disk could not be read once', async () => {
  await rm(paths.sessions, { recursive: true })
  await expect(take(1)).rejects.toMatchObject({ code: 'ENOENT' })
  await mkdir(paths.sessions)
  expect(await take(1)).toBe('errand/fix')
})

it('lets a session whose record is damaged stop no other', async () => {
  for (const [name, text] of Object.entries({ 'a.git': '{"sessionId":', 'b.git': '{}' })) {
    await mkdir(join(paths.sessions, name))
    await writeFile(join(paths.sessions, name, 'errand.json'), text)
  }
  expect(await take(1)).toBe('errand/fix')
})
