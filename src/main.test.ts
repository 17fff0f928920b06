// What `errand` runs, in a clone whose code is newer than what was built, as after a `git pull`.
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { runProcess } from './lib/process.ts'

let clone: string
beforeEach(async () => {
  clone = await mkdtemp(join(tmpdir(), 'errand #50% new?-'))
  await mkdir(join(clone, 'dist/programs'), { recursive: true })
  await mkdir(join(clone, 'src'))
  await cp(join(import.meta.dirname, 'main.js'), join(clone, 'src/main.js'))
})
afterEach(() => rm(clone, { recursive: true, force: true }))

const program = (name: string, where: string) =>
  `export const enterMountNamespace = (args) => console.log('${name}', '${where}', ...args)\n`

it.each([
  { built: [], from: ['source', 'source'] },
  { built: ['command-line'], from: ['source', 'built'] },
  { built: ['command-line', 'mount-namespace'], from: ['built', 'built'] },
])('takes what was built of $built, and the rest from source', async ({ built, from }) => {
  for (const name of ['mount-namespace', 'command-line']) {
    const say = name === 'command-line' ? `console.log('command line')\n` : ''
    const text = (where: string) => program(name, where) + say.replace('line', `line ${where}`)
    await writeFile(join(clone, 'src', `${name}.ts`), text('source'))
    if (built.includes(name))
      await writeFile(join(clone, 'dist/programs', `${name}.mjs`), text('built'))
  }
  const { stdout, stderr } = await runProcess(process.execPath, [
    join(clone, 'src/main.js'),
    'down',
  ])
  expect(stderr).toBe('')
  expect(stdout).toBe(`mount-namespace ${from[0]} down\ncommand line ${from[1]}\n`)
})
