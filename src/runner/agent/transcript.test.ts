import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { runChecked } from '../../lib/process.ts'
import { createTranscript, type Transcript } from './transcript.ts'

let home: string
let path: string
let transcript: Transcript
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'errand-transcript-'))
  path = join(home, 'projects', '-workspace-cart', 'c.jsonl')
  await mkdir(join(path, '..'), { recursive: true })
  transcript = createTranscript({ CLAUDE_CONFIG_DIR: home }, () => 'c')
})
afterEach(() => rm(home, { recursive: true, force: true }))

it('is as one that is not there where it is a pipe', async () => {
  // Nobody ever writes to it.
  await runChecked('mkfifo', [path])
  await transcript.look()
  expect(await transcript.messagesAfter('u', 0)).toEqual([])
  expect(await transcript.sizeBytes()).toBe(0)
})

it('holds what stands around a line that was cut off, as by a full disk', async () => {
  const line = (uuid: string) =>
    JSON.stringify({
      type: 'assistant',
      uuid,
      message: { content: [{ type: 'text', text: uuid }] },
    })
  await writeFile(path, `${[line('a'), line('b').slice(0, 40), line('c')].join('\n')}\n`)
  const messages = await transcript.messagesAfter('a', 0)
  expect(messages.map(({ uuid }) => uuid)).toEqual(['c'])
})
