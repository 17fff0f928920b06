// What was said inside a sandbox, as the tests read it: results of tools, output of commands.
import type { SessionEvent } from '../../src/protocol/event.ts'
import { eventsOf, type Installation } from './installation.ts'

/** The results of all tools, in order. */
export function toolOutputs(events: SessionEvent[]): string[] {
  return eventsOf(events, 'tool.returned').map(({ output }) => output)
}

/** Runs a shell command in the sandbox, without the agent, and returns what it printed. */
export async function runInside(
  errand: Installation,
  sessionId: string,
  text: string,
): Promise<string> {
  const { lastSeq } = await errand.client.getSession(sessionId)
  await errand.client.sendMessage(sessionId, { text, kind: 'command' })
  const events = await errand.finish(sessionId, lastSeq)
  return eventsOf(events, 'command.output')
    .map(({ text }) => text)
    .join('')
}

/** Each command, by its name, with what it said, whether it succeeded or not. */
export async function tryAll(
  errand: Installation,
  sessionId: string,
  commands: Record<string, string>,
): Promise<Record<string, string>> {
  const script = Object.entries(commands)
    .map(([name, command]) => `printf '\n== ${name}\n'; { ${command}; } 2>&1`)
    .join('\n')
  const parts = (await runInside(errand, sessionId, script)).split(/^== /m).slice(1)
  return Object.fromEntries(
    parts.map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n')).trim()]),
  )
}

/** All that Errand tells of a session, as text to search. */
export async function everythingSaid(errand: Installation, sessionId: string): Promise<string> {
  const [state, { events }] = await Promise.all([
    errand.client.getSession(sessionId),
    errand.client.readEvents(sessionId, { limit: 1000 }),
  ])
  return JSON.stringify({ state, events })
}

/**
 * Shell commands that search a whole sandbox: disk, arguments and environment of all processes. Each needle is written so
 * that it does not find itself. /usr is the host's, read-only; of /opt only the programs are left out.
 */
export function searchCommand(needles: readonly string[]): string {
  const patterns = needles.map(
    (needle) => `-e '${needle.slice(0, 3)}[${needle[3]}]${needle.slice(4)}'`,
  )
  const grep = `grep --binary-files=text --no-messages --only-matching ${patterns.join(' ')}`
  const folders = '/bin /etc /home /opt/errand/session.json /root /run /srv /tmp /var /workspace'
  return [
    `${grep} --recursive --devices=skip ${folders}`,
    `cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline /proc/mounts 2>/dev/null | tr '\\0' '\\n' | ${grep}`,
    'echo searched',
  ].join('; ')
}
