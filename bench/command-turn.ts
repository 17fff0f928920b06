// Runs a shell command in a session, as a person does from the page, and gives back what it printed.
import type { SessionEvent } from '../src/protocol/event.ts'
import { type BenchErrand, TURN_ENDS } from './installation.ts'

export interface CommandSession {
  id: string
  run(command: string): Promise<string>
}

/** The session has to be at rest. */
export function createCommandSession(
  errand: BenchErrand,
  id: string,
  lastSeq: number,
): CommandSession {
  let afterSeq = lastSeq
  return {
    id,
    run: async (text) => {
      await errand.client.sendMessage(id, { kind: 'command', text })
      const events = await errand.follow(id, TURN_ENDS, afterSeq)
      afterSeq = events.at(-1)?.seq ?? afterSeq
      const output = events.map(outputOf).join('')
      const end = events.at(-1)?.body
      if (end?.type !== 'turn.completed' || end.exitCode !== 0)
        throw new Error(`${text} did not go well: ${JSON.stringify(end)} ${output}`)
      return output
    },
  }
}

export function outputOf({ body }: SessionEvent): string {
  return body.type === 'command.output' ? body.text : ''
}
