// `errand attack` as the command line knows it: the table of docs/threat-model.md, tried on this machine.
import type { Command } from 'commander'
import type { Cli } from '../cli/command.ts'
import { plainLine, safeJson } from '../cli/terminal/plain-text.ts'
import type { AttackResult } from './installation.ts'

const WORDS: Record<AttackResult['result'], string> = {
  held: 'held',
  broken: 'BROKEN',
  not_tried: 'not tried',
}

export function addAttackCommand(program: Command, cli: Cli): void {
  program
    .command('attack')
    .description('attack a sandbox of this machine from inside, and see what holds')
    .option('--json', 'print one JSON object for each attack and nothing else')
    .action(async ({ json }: { json?: boolean }) => {
      const { attackInstallation } = await import('./installation.ts')
      const { inOwnFolder } = await import('../installation/short-lived.ts')
      const results: AttackResult[] = []
      const { stdout } = cli.deps
      await inOwnFolder(cli, 'errand-attack', (folder, signal) =>
        attackInstallation(cli, folder, {
          signal,
          onResult: (result) => {
            results.push(result)
            stdout.write(json ? `${safeJson(result)}\n` : `${plainLine(describe(result))}\n`)
          },
        }),
      )
      if (!json) stdout.write(`\n${sum(results)}\n`)
      cli.setExitCode(exitCodeFor(results))
    })
}

/** 1 when an attack has worked. */
export function exitCodeFor(results: readonly AttackResult[]): number {
  return results.some(({ result }) => result === 'broken') ? 1 : 0
}

function describe({ id, title, result, detail }: AttackResult): string {
  return `${WORDS[result].padEnd(9)}  ${id.padEnd(21)}  ${title}  (${detail})`
}

function sum(results: readonly AttackResult[]): string {
  const count = (wanted: AttackResult['result']) =>
    results.filter(({ result }) => result === wanted).length
  return `${count('held')} held, ${count('broken')} broken, ${count('not_tried')} not tried. What each one means: docs/threat-model.md, section 3.`
}
