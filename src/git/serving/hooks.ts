// The one hook of gitd: a script that git runs with the refs it has read, and that asks gitd over file descriptor 3.
// The descriptor is a pair of sockets that only this push has, so there is nothing to guess, to forge or to clean up.
import { chmod, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { createLineSplitter } from '../../lib/ndjson.ts'
import { toAppError } from '../../protocol/errors.ts'
import { parseRefUpdate, type RefUpdate } from './push-scope.ts'

export const HOOK_CHANNEL = 3

/** What is not an answer ends in a refusal: also when gitd dies while the hook waits. */
const SCRIPT = `#!/bin/sh
{ printf '%s\\n' "$GIT_QUARANTINE_PATH"; cat; echo; } >&${HOOK_CHANNEL} || exit 1
while IFS= read -r line <&${HOOK_CHANNEL}; do
  case "$line" in
    accept) exit 0 ;;
    refuse) exit 1 ;;
    'say '*) printf '%s\\n' "\${line#say }" >&2 ;;
  esac
done
echo 'errand: the push could not be checked and was refused' >&2
exit 1
`

export interface HookQuestion {
  /** Where the new objects lie until the push is accepted. */
  quarantine: string
  updates: RefUpdate[]
}

export interface HookAnswer {
  accept: boolean
  lines: string[]
  /** The upstream is not as the mirror says: it refused, or a branch that others share has moved there. */
  isNewsUpstream?: boolean
}

const MOST_UPDATES = 1000
const LINE_BYTES = 8192
const HOOK_MODE = 0o555
const FULL = 'there is no space left on the disk of Errand, and the push was refused'

/** What is there already needs no room on the disk. */
export async function writeHooks(directory: string): Promise<void> {
  const path = join(directory, 'pre-receive')
  if (await isWritten(path)) return
  await writeFile(`${path}.new`, SCRIPT)
  await chmod(`${path}.new`, HOOK_MODE)
  await rename(`${path}.new`, path)
}

async function isWritten(path: string): Promise<boolean> {
  try {
    const { mode } = await stat(path)
    return (mode & 0o777) === HOOK_MODE && (await readFile(path, 'utf8')) === SCRIPT
  } catch {
    // Whatever is there is replaced.
    return false
  }
}

/** Reads one question from the hook and writes the answer that `decide` gives. A failure is reported, and refuses. */
export function answerHook(
  channel: Duplex,
  decide: (question: HookQuestion) => Promise<HookAnswer>,
  report: (error: unknown) => void,
): void {
  const split = createLineSplitter(LINE_BYTES)
  const lines: string[] = []
  const answer = async (question: HookQuestion) => {
    const { accept, lines: said } = await decide(question)
    channel.end(`${said.map(sayLine).join('')}${accept ? 'accept' : 'refuse'}\n`)
  }
  const ask = (question: HookQuestion) => {
    answer(question).catch((error) => {
      report(error)
      const isFull = toAppError(error).code === 'no_space'
      refuse(isFull ? `errand: ${FULL}` : 'errand: the push could not be checked and was refused')
    })
  }
  const refuse = (why: string) => channel.end(`${sayLine(why)}refuse\n`)
  const onData = (chunk: Buffer) => {
    try {
      lines.push(...split(chunk))
      if (lines.length > MOST_UPDATES) throw new Error('a push may change at most 1000 refs')
      if (lines.at(-1) !== '' || lines.length < 2) return
      channel.off('data', onData)
      ask(parseQuestion(lines))
    } catch (error) {
      channel.off('data', onData)
      refuse(`errand: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  channel.on('data', onData)
  // The hook may be gone before it is answered.
  channel.on('error', () => undefined)
}

function parseQuestion(lines: string[]): HookQuestion {
  const [quarantine = '', ...rest] = lines
  const updates = rest.filter((line) => line !== '').map(parseRefUpdate)
  if (updates.some((update) => update === undefined))
    throw new Error('git gave a line that is no ref')
  return { quarantine, updates: updates.filter((update) => update !== undefined) }
}

/** Control characters would reach the terminal of whoever pushes. */
function sayLine(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it takes out
  return `say ${text.replace(/[\u0000-\u0008\u000a-\u001f\u007f-\u009f]/g, '').slice(0, 1000)}\n`
}
