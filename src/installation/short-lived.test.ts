import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { Cli } from '../cli/command.ts'
import { InterruptedError } from '../cli/deps.ts'
import { inOwnFolder } from './short-lived.ts'

const cli = { deps: { stderr: { isTTY: false, write: () => undefined } } } as unknown as Cli

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-short-'))
  vi.stubEnv('ERRAND_DATA', join(folder, 'data'))
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true, force: true })
})

it('is interrupted, and has not failed, where Ctrl-C ended a program that it had started', async () => {
  const work = async () => {
    process.emit('SIGHUP', 'SIGHUP')
    throw new Error('git init was ended by SIGHUP')
  }
  await expect(inOwnFolder(cli, 'demo', work)).rejects.toBeInstanceOf(InterruptedError)
  expect(await readdir(folder)).toEqual([])
})

it('says what failed otherwise, and leaves nothing either', async () => {
  const work = async () => Promise.reject(new Error('no space'))
  await expect(inOwnFolder(cli, 'demo', work)).rejects.toThrow('no space')
  expect(await readdir(folder)).toEqual([])
})
