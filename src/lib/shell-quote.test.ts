import { expect, it } from 'vitest'
import { runChecked } from './process.ts'
import { shellWord } from './shell-quote.ts'

it('writes words that a shell reads as they were meant, and leaves plain ones as they are', async () => {
  expect(shellWord('/srv/errand-1.0')).toBe('/srv/errand-1.0')
  const words = ['/srv/my code', "/srv/ann's", '/srv/$HOME', '/srv/a;b', '~', '', 'a\nb']
  const said = await runChecked('sh', ['-c', `printf '%s\\0' ${words.map(shellWord).join(' ')}`])
  expect(said.split('\0').slice(0, -1)).toEqual(words)
})
