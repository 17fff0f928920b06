import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { expect, it } from 'vitest'

const HELP = [process.execPath, join(import.meta.dirname, 'command-line.ts'), '--help']

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
