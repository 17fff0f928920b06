// Asks a person at a terminal, one line at a time; what is pasted at once counts as one. The roof makes it where both ends are
// terminals.
import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { InterruptedError, type Prompt } from '../deps.ts'

/** The rest of its lines is still to come, perhaps in another piece. */
const BEGUN_KEY = /^\s*-----BEGIN [A-Z ]*PRIVATE KEY-----(?!.*-----END )/s

export function createPrompt(input: NodeJS.ReadStream, output: NodeJS.WriteStream): Prompt {
  return (question, { signal, onInterrupt, isHidden = false }) =>
    new Promise((resolve, reject) => {
      signal.throwIfAborted()
      output.write(question)
      const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
      const lines = createInterface({ input, output: isHidden ? silent : output, terminal: true })
      // The terminal is in raw mode: redrawing the line must not wipe the question.
      lines.setPrompt(isHidden ? '' : question)
      let isSettled = false
      const settle = (end: () => void) => {
        if (isSettled) return
        isSettled = true
        signal.removeEventListener('abort', onAbort)
        lines.close()
        if (isHidden) output.write('\n')
        end()
      }
      const onAbort = () => settle(() => reject(signal.reason))
      signal.addEventListener('abort', onAbort, { once: true })
      lines.on('SIGINT', () => {
        onInterrupt()
        settle(() => reject(new InterruptedError()))
      })
      const said: string[] = []
      const answer = () => {
        const text = [...said, ...(lines.line === '' ? [] : [lines.line])].join('\n')
        if (!BEGUN_KEY.test(text)) settle(() => resolve(text))
      }
      lines.on('line', (line) => {
        said.push(line)
        setImmediate(answer)
      })
      lines.on('close', () => settle(() => reject(new Error('the input has ended'))))
    })
}
