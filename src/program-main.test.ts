// How a program goes on that somebody's work has thrown in.
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { runChecked } from './lib/process.ts'

it('outlives what nobody catches, and says so', async () => {
  const script = `
    const { outliveErrors } = await import(${JSON.stringify(join(import.meta.dirname, 'program-main.ts'))})
    const said = []
    const error = ({ err }, what) => {
      said.push(err.message + ': ' + what)
      if (said.length === 2) console.log(said.sort().join('\\n'))
    }
    outliveErrors({ error })
    setImmediate(() => { throw new Error('thrown') })
    Promise.reject(new Error('rejected'))`
  const said = await runChecked(process.execPath, ['--input-type=module', '-e', script])
  expect(said.trim().split('\n')).toEqual([
    'rejected: a rejection was caught by nobody',
    'thrown: an error was caught by nobody',
  ])
})
