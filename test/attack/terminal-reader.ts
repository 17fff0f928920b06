// Reads a session on a terminal, by the command line: `errand logs` and `errand diff`, as somebody does who is at one.
import { markOf, SHOWN_PLACES, TERMINAL_ATTACKS } from '../../src/attack/shown-cases.ts'
import { createTestCli } from '../../src/cli/cli.fixture.ts'
import type { Diff } from '../../src/protocol/api.ts'
import { applyEvent, emptyView } from '../../src/protocol/apply-event.ts'
import type { SessionEvent } from '../../src/protocol/event.ts'

/** So wide that nothing is cut or goes on in another line. */
const COLUMNS = 100_000

export interface Session {
  events: readonly SessionEvent[]
  diff: Diff
}

/** What became of each attack; without the control when `isSafe` says so. */
export async function readOnTerminal(session: Session, isSafe: boolean): Promise<string> {
  const written = await writtenOf(session, isSafe)
  const lines = Object.entries(TERMINAL_ATTACKS).map(([way, text]) => {
    const countOf = (behind: string) =>
      SHOWN_PLACES.filter((place) => written.includes(markOf(place, way) + behind)).length
    const acting = countOf(text)
    const said = acting > 0 ? `acted on in ${acting}` : `shown in ${countOf('\\')}`
    return `${way}: ${said} of ${SHOWN_PLACES.length} places`
  })
  return `${lines.join('\n')}\n`
}

async function writtenOf({ events, diff }: Session, isSafe: boolean): Promise<string> {
  const { session } = events.reduce(applyEvent, emptyView)
  if (!session) throw new Error('there is no session')
  const cli = createTestCli({
    ...{ columns: COLUMNS, isSafe },
    client: {
      getSession: async () => session,
      readEvents: async () => ({ events: [...events], through: events.length, more: false }),
      getDiff: async () => diff,
    },
  })
  for (const command of ['logs', 'diff']) {
    const exitCode = await cli.run(command, session.id)
    if (exitCode !== 0) throw new Error(`errand ${command}: ${cli.stderr.text()}`)
  }
  return cli.stdout.text()
}
