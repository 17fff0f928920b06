// What launch.pl says when its holder does not come to the end of a plan: which operation, and how the holder ended.
import { expect, it } from 'vitest'
import { runProcess } from '../../lib/process.ts'
import { encodePlan, launcherArgs, TOOLS_ENV } from './launch-plan.ts'

const play = async (plan: string[][]) => {
  const { exitCode, stdout } = await runProcess('perl', launcherArgs('test'), {
    env: TOOLS_ENV,
    input: encodePlan(plan),
  })
  return { exitCode, stdout: stdout.trim() }
}

it('answers when all of a plan is done', async () => {
  expect(await play([['run', 'echo', 'a word'], ['probe']])).toEqual({
    exitCode: 0,
    stdout: 'ok 0 a word',
  })
})

it.each([
  ['KILL', 9],
  ['TERM', 15],
])('tells which signal ended the holder, and at which operation: %s', async (name, number) => {
  const kill = ['run', 'sh', '-c', `kill -${name} $PPID`]
  expect(await play([['run', 'true'], kill, ['probe']])).toEqual({
    exitCode: 1,
    stdout: `failed run: the holder was ended by signal ${number}`,
  })
})

it('refuses a plan that was cut off', async () => {
  const refused = { exitCode: 1, stdout: 'failed start: the plan has no end' }
  for (const plan of [[], [['run', 'true']]]) expect(await play(plan)).toEqual(refused)
})
