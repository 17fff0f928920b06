import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import {
  chown,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { CLAIM_FILE, type Config, readConfig } from '../config.ts'
import { runChecked } from '../lib/process.ts'
import { claimInstance, findInstance, stopInstance } from './instance.ts'

let folder: string
let config: Config

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-instance-'))
  config = { ...readConfig({ dataDir: folder }), runtimeDir: join(folder, 'run') }
})
afterEach(() => rm(folder, { recursive: true, force: true }))

const ready = (url: string) => ({ pid: process.pid, url, version: '0.1.0' })
const claimFile = () => join(config.runtimeDir, CLAIM_FILE)

it('claims a folder with nothing but its number, and lets go of it', async () => {
  const claim = await claimInstance(config)
  expect(claim.followsKilled).toBe(false)
  expect(await readdir(config.runtimeDir)).toEqual([CLAIM_FILE])
  expect(await readFile(claimFile(), 'utf8')).toBe(String(process.pid))
  await claim.release()
  expect(existsSync(config.runtimeDir)).toBe(false)
})

it('takes over from one that was killed, and is refused by one that lives', async () => {
  const args = ['-e', 'setInterval(() => undefined, 1000)', '/srv/errand/src/main.js', 'up']
  const other = spawn(process.execPath, args, { stdio: 'ignore' })
  try {
    await once(other, 'spawn')
    await (await claimInstance(config)).release()
    await claimInstance(config)
    await writeFile(claimFile(), String(other.pid))
    await expect(claimInstance(config)).rejects.toMatchObject({ reason: 'already_starting' })
  } finally {
    other.kill('SIGKILL')
    await once(other, 'exit')
  }
  expect((await claimInstance(config)).followsKilled).toBe(true)
  expect(await readFile(claimFile(), 'utf8')).toBe(String(process.pid))
})

it('leaves the claim to another one that was faster in taking over', async () => {
  const args = ['-e', 'setInterval(() => undefined, 1000)', '/srv/errand/src/main.js', 'up']
  const faster = spawn(process.execPath, args, { stdio: 'ignore' })
  try {
    await once(faster, 'spawn')
    await mkdir(config.runtimeDir)
    // What one that was killed has left, read only when the other one has taken over.
    await runChecked('mkfifo', [claimFile()])
    const claiming = claimInstance(config)
    const left = await open(claimFile(), 'w')
    await writeFile(`${claimFile()}.new`, String(faster.pid))
    await rename(`${claimFile()}.new`, claimFile())
    await left.write('4194304')
    await left.close()
    await expect(claiming).rejects.toMatchObject({ reason: 'already_starting' })
    expect(await readFile(claimFile(), 'utf8')).toBe(String(faster.pid))
    expect(await readdir(config.runtimeDir)).toEqual([CLAIM_FILE])
  } finally {
    faster.kill('SIGKILL')
    await once(faster, 'exit')
  }
})

it('is where it says in one moment: who looks just then reads nothing half', async () => {
  const claim = await claimInstance(config)
  await claim.ready(ready('http://127.0.0.1:9'))
  const reading = await open(join(config.runtimeDir, 'instance.json'))
  await claim.ready(ready('http://127.0.0.1:10'))
  const seen = await reading.readFile('utf8')
  await reading.close()
  expect(JSON.parse(seen)).toMatchObject({ url: 'http://127.0.0.1:9' })
})

it.runIf(process.getuid?.() === 0)('believes nobody else where Errand is', async () => {
  const claim = await claimInstance(config)
  await claim.ready(ready('http://127.0.0.1:9'))
  await writeFile(join(folder, 'cli-token'), 'secret')
  await chown(join(config.runtimeDir, 'instance.json'), 4_242_424, 0)
  await expect(findInstance(config)).rejects.toMatchObject({ reason: 'other_users_instance' })
})

it('says of one that does not end in time that it is still at it', async () => {
  const script = `process.on('SIGTERM', () => console.log('told')); console.log('there')`
  const program = `${script}; setInterval(() => undefined, 1000)`
  const args = ['-e', program, '/srv/errand/src/main.js', 'up']
  const slow = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] })
  try {
    await once(slow.stdout, 'data')
    await mkdir(config.runtimeDir)
    await writeFile(claimFile(), String(slow.pid))
    const told = once(slow.stdout, 'data')
    await expect(stopInstance(config, 100)).rejects.toMatchObject({
      ...{ code: 'timeout', reason: 'still_stopping' },
      message: expect.stringContaining(`process ${slow.pid}`),
    })
    expect(String(await told)).toContain('told')
  } finally {
    slow.kill('SIGKILL')
    await once(slow, 'exit')
  }
  expect(await stopInstance(config)).toBeUndefined()
})
