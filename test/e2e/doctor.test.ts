// `errand doctor` on this very machine: as root beside a running installation and without one, and as an ordinary user.
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Diagnosis } from '../../src/doctor/doctor.ts'
import { jsonOf, runCommand } from './command.ts'
import { type Installation, OWNER_KEY, startInstallation } from './installation.ts'

const LIMIT_MS = 5_000
const NOBODY = { uid: 65_534, gid: 65_534 }

let errand: Installation
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-doctor-'))
  errand = await startInstallation()
})
afterAll(async () => {
  await errand.stop()
  await rm(folder, { recursive: true, force: true })
})

async function doctor(args: string[], options: Parameters<typeof runCommand>[1] = {}) {
  const startedAt = performance.now()
  const result = await runCommand(['doctor', '--json', ...args], options)
  const tookMs = performance.now() - startedAt
  const diagnosis = jsonOf<Diagnosis>(result)
  const get = (name: string) => diagnosis.checks.find((check) => check.name === name)
  return { ...result, ...diagnosis, tookMs, get }
}

it('finds that sessions can run here, quickly, and changes nothing', async () => {
  const dataDir = join(folder, 'none')
  const found = await doctor(['--data', dataDir], { env: { ANTHROPIC_API_KEY: OWNER_KEY } })
  expect(found.checks.filter(({ ok }) => ok === 'bad')).toEqual([])
  expect(found).toMatchObject({ exitCode: 0, ok: true, isolation: { level: 'container' } })
  expect(found.tookMs).toBeLessThan(LIMIT_MS)
  expect(await readdir(folder)).toEqual([])
  expect(found.get('model key')).toMatchObject({ ok: 'ok', found: 'set' })
  expect(found.stdout).not.toContain(OWNER_KEY)
})

it('asks the programs of an installation that runs', async () => {
  const env = { ANTHROPIC_API_KEY: OWNER_KEY, ANTHROPIC_BASE_URL: errand.model.url }
  const port = new URL(errand.url).port
  const found = await doctor(['--data', errand.dataDir], { env: { ...env, ERRAND_PORT: port } })
  expect(found.get('running')).toMatchObject({
    ok: 'ok',
    found: `${errand.url}, all programs answer`,
  })
  expect(found.get('port')?.found).toContain('own')
  expect(found.get('model endpoint')).toMatchObject({ ok: 'ok' })
})

it('says what cannot be reached or read, without what is secret in it', async () => {
  const DATABASE_URL = 'postgres://errand:very-Secret-1@127.0.0.1:9/errand'
  const env = { DATABASE_URL, ANTHROPIC_BASE_URL: 'http://127.0.0.1:9' }
  const found = await doctor(['--data', join(folder, 'none')], { env })
  expect(found).toMatchObject({ ok: false, exitCode: 10 })
  expect(found.get('database')).toMatchObject({ ok: 'bad' })
  expect(found.get('model endpoint')).toMatchObject({ ok: 'warn' })
  expect(found.stdout).not.toContain('very-Secret-1')
})

it('says what makes a data folder useless, before errand up is tried', async () => {
  const own = await mkdtemp(join(tmpdir(), 'errand-doctor-'))
  try {
    const [file, old] = [join(own, 'file'), join(own, 'old')]
    await writeFile(file, '')
    await mkdir(join(old, 'postgres'), { recursive: true })
    await writeFile(join(old, 'postgres/PG_VERSION'), '15\n')
    for (const [dataDir, fix] of [
      [file, 'is no folder'],
      [join(file, 'below'), 'is no folder'],
      [old, 'PostgreSQL 15'],
    ] as const) {
      const found = await doctor(['--data', dataDir], { env: { ERRAND_STANDBY: '2' } })
      expect(found).toMatchObject({ ok: false, exitCode: 10 })
      expect(found.get('data folder')).toMatchObject({ ok: 'bad' })
      expect(found.get('data folder')?.fix).toContain(fix)
      expect(found.get('variables')?.found).toBe('unknown: ERRAND_STANDBY')
    }
  } finally {
    await rm(own, { recursive: true, force: true })
  }
})

it('tells an ordinary user what that user can have, and why not more', async () => {
  const env = { HOME: folder, XDG_RUNTIME_DIR: join(folder, 'run') }
  const found = await doctor(['--data', join(folder, 'none')], { ...NOBODY, env })
  expect(found.get('subordinate ids')).toMatchObject({ found: '0 users, 0 groups' })
  expect(found.get('subordinate ids')?.fix).toContain('usermod')
  expect(found).toMatchObject({ ok: false, exitCode: 10, isolation: { level: 'none' } })
  expect(await readdir(folder)).toEqual([])
})

it('says it in lines for people', async () => {
  const { stdout, exitCode } = await runCommand(['doctor', '--data', join(folder, 'none')])
  expect(exitCode).toBe(0)
  expect(stdout).toMatch(/^Machine\n {2}ok {4}system/)
  expect(stdout).toMatch(/\nIsolation: container \(.*\)\nSessions can run here\.\n$/)
})
