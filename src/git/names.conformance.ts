// Branch names, judged as git judges them.
import { expect, it } from 'vitest'
import { runProcess } from '../lib/process.ts'
import { isBranchName } from '../protocol/branch-name.ts'

const PARTS = [
  'a',
  'A',
  '.',
  '..',
  '/',
  '-',
  '@',
  '{',
  '~',
  '^',
  ':',
  '?',
  '*',
  '[',
  '\\',
  ' ',
  '.lock',
  'é',
  '\t',
  'HEAD',
]

it('takes no name that git refuses', async () => {
  const names = [
    ...PARTS,
    ...PARTS.flatMap((one) => PARTS.map((two) => one + two)),
    ...PARTS.map((part) => `x${part}y`),
  ]
  for (const name of names) {
    const { exitCode } = await runProcess('git', ['check-ref-format', `refs/heads/${name}`])
    const taken = isBranchName(name)
    const stricter = name.startsWith('-') || name === 'HEAD'
    expect({ name, taken }).toEqual({ name, taken: exitCode === 0 && !stricter && name !== '@' })
  }
})
