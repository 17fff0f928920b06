import { PassThrough } from 'node:stream'
import { expect, it } from 'vitest'
import { createPrompt } from './prompt.ts'

/** What a terminal sends for a paste: lines that end as Enter does. */
function pasteInto(isHidden: boolean, ...chunks: string[]) {
  const input = new PassThrough()
  const output = new PassThrough()
  const prompt = createPrompt(input as unknown as NodeJS.ReadStream, output as never)
  const { signal } = new AbortController()
  const answer = prompt('secret > ', { signal, onInterrupt: () => undefined, isHidden })
  for (const chunk of chunks) input.write(chunk.replaceAll('\n', '\r'))
  return { answer, shown: () => String(output.read()) }
}

const KEY = `-----BEGIN OPENSSH PRIVATE KEY-----
b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gt
-----END OPENSSH PRIVATE KEY-----
`

it('takes all lines of a private key that is pasted, also in pieces, and shows none of it', async () => {
  for (const at of [KEY.length, 40, 90]) {
    const { answer, shown } = pasteInto(true, KEY.slice(0, at), KEY.slice(at))
    expect(await answer).toBe(KEY.trimEnd())
    expect(shown()).toBe('secret > \n')
  }
})

it('takes all lines that are pasted at once, and of what is typed each for itself', async () => {
  expect(await pasteInto(false, 'do this\nand that\nand more').answer).toBe(
    'do this\nand that\nand more',
  )
  expect(await pasteInto(false, 'yes\n').answer).toBe('yes')
})
