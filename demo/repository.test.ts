import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { runProcess } from '../src/lib/process.ts'
import { createSampleRepository } from './repository.ts'

const folder = mkdtempSync(join(tmpdir(), 'errand-sample-'))
afterAll(() => rmSync(folder, { recursive: true }))

describe('createSampleRepository', () => {
  it('makes the same commit everywhere, with exactly one failing test', async () => {
    const one = await createSampleRepository(join(folder, 'one'))
    const two = await createSampleRepository(join(folder, 'two'))
    expect(one.commit).toBe(two.commit)
    const env = { PATH: process.env.PATH ?? '' }
    const tests = await runProcess(process.execPath, ['--test'], { cwd: one.path, env })
    expect(tests.exitCode).toBe(1)
    expect(tests.stdout).toMatch(/fail 1\b/)
  })
})
