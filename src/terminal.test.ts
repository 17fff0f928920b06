import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { expect, it } from 'vitest'
import { createCliDeps, outputOf } from './terminal.ts'

const ERRAND = [process.execPath, join(import.meta.dirname, 'command-line.ts')]
const HELP = [...ERRAND, '--help']

it('ends quietly when nobody reads its output any more', async () => {
  const [node = '', ...args] = HELP
  const child = spawn(node, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  child.stdout.destroy()
  const said = text(child.stderr)
  expect(await once(child, 'close')).toEqual([141, null])
  expect(await said).toBe('')
})

it('says when its output cannot be written', async () => {
  const child = spawn('sh', ['-c', '"$@" > /dev/full', 'sh', ...HELP], { stdio: 'pipe' })
  const said = text(child.stderr)
  expect(await once(child, 'close')).toEqual([12, null])
  expect(await said).toMatch(/^errand: the output could not be written: .*ENOSPC.*\n$/)
})

it('says in one sentence which variable cannot be used, whatever the command', async () => {
  const [node = '', ...args] = [...ERRAND, 'sessions', '--json']
  const env = { ERRAND_PORT: 'http' }
  const child = spawn(node, args, { env, stdio: 'pipe' })
  const said = Promise.all([text(child.stdout), text(child.stderr)])
  expect(await once(child, 'close')).toEqual([2, null])
  const [stdout = '', stderr] = await said
  expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'invalid', reason: 'invalid_port' } })
  expect(stderr).toMatch(/^errand: ERRAND_PORT is "http"\. .*\n$/)
})

it('writes to a terminal that only prints as to a file', () => {
  const stream = Object.assign(new PassThrough(), { isTTY: true, columns: 80 })
  expect(outputOf(stream, { TERM: 'xterm' })).toMatchObject({ isTTY: true, hasColors: true })
  expect(outputOf(stream, { TERM: 'dumb' })).toMatchObject({ isTTY: false, hasColors: false })
  expect(outputOf(stream, { NO_COLOR: '1' })).toMatchObject({ isTTY: true, hasColors: false })
})

it('asks nobody at a terminal whose input was read to its end, as for a prompt that is typed', async () => {
  const stream = () => Object.assign(new PassThrough(), { isTTY: true, columns: 80 })
  const streams = { stdin: stream(), stdout: stream(), stderr: stream() }
  const deps = createCliDeps(
    () => Promise.reject(new Error('nothing is asked')),
    streams as unknown as Parameters<typeof createCliDeps>[1],
  )
  expect(deps.prompt).toBeDefined()
  streams.stdin.end('fix it\n')
  expect(await deps.readStdin()).toBe('fix it\n')
  expect(deps.prompt).toBeUndefined()
})
