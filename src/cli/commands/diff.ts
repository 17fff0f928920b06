// `errand diff`: what a session changed, in each of its repositories or in one of them.
import type { Command } from 'commander'
import type { Diff } from '../../protocol/api.ts'
import type { SessionState } from '../../protocol/session.ts'
import { addCommand, type Cli, type Printer, sessionId } from '../command.ts'
import { namedIn } from '../repositories/session-repositories.ts'
import { formatTable } from '../terminal/format.ts'
import { paintDiff } from '../terminal/paint.ts'
import { plainLine } from '../terminal/plain-text.ts'

interface DiffOptions {
  stat?: boolean
  repository?: string
}

export function addDiff(cli: Cli, program: Command): void {
  addCommand<DiffOptions>(
    cli,
    program,
    { specification: 'diff <id>', description: 'what the branch of a session changed' },
    async ([id], { connection, print, options }) => {
      const session = await connection.client.getSession(sessionId(id))
      const wanted = placesOf(session, options.repository)
      const diffs: (Diff & { repository: string })[] = []
      for (const { name, repository } of wanted)
        diffs.push({
          repository: name,
          ...(await connection.client.getDiff(session.id, repository)),
        })
      const [first, ...others] = diffs
      print.json(others.length > 0 ? { ...first, additional: others } : first)
      if (print.isJson) return
      for (const diff of diffs) {
        // A patch of one repository stays one that git can apply.
        if (diffs.length > 1) print.line(`# ${plainLine(diff.repository)}`)
        printDiff(cli, print, { diff, isStat: options.stat === true })
      }
    },
  )
    .option('--stat', 'only how many lines of which files')
    .option('--repository <name>', 'of this repository of the session only')
}

/** All that the session has a branch in, or the one that was named. */
function placesOf(session: SessionState, name: string | undefined) {
  if (name !== undefined) return [{ name, repository: namedIn(session, name) }]
  const others = session.additional.filter(({ access }) => access === 'write')
  return [
    { name: session.repository.name, repository: undefined },
    ...others.map((one) => ({ name: one.name, repository: one.name })),
  ]
}

function printDiff(
  { deps: { stdout }, plainText }: Cli,
  print: Printer,
  { diff, isStat }: { diff: Diff; isStat: boolean },
): void {
  if (isStat) {
    const rows = diff.files.map((file) => [
      ...(file.binary ? ['binary', ''] : [`+${file.insertions}`, `−${file.deletions}`]),
      ...[file.status, file.path],
    ])
    print.line(formatTable(['', '', '', 'file'], rows).trimEnd())
  } else if (diff.patch !== '') {
    // Byte for byte for a program that reads it, safe for a person.
    const patch = diff.patch.replace(/\n$/, '')
    print.line(stdout.isTTY ? paintDiff(stdout, plainText(patch)) : patch)
  }
  if (diff.files.length === 0) print.note('There are no changes.')
  if (diff.truncated)
    print.note('The diff is too long and was cut: errand fetch brings the whole branch.')
}
