// A step of a build, in namespaces of its own, as root.
import { expect, it } from 'vitest'
import { runOutside } from './inside.ts'

it('says what a step has said where the disk has no room for its log', async () => {
  const lines: string[] = []
  const run = {
    ...{ log: '/dev/full', env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } },
    ...{ signal: new AbortController().signal, onLine: (line: string) => lines.push(line) },
  }
  const failed = { reason: 'image_step_failed', message: expect.stringContaining('no room') }
  await expect(runOutside(['sh', '-c', 'echo no room; exit 3'], run)).rejects.toMatchObject(failed)
  expect(lines).toEqual(['no room'])
})
