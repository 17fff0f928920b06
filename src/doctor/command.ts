// `errand doctor`: what this machine has, what is missing and the command that mends it. Changes nothing.
import type { Command } from 'commander'
import type { Cli } from '../cli/command.ts'
import { plainLine, safeJson } from '../cli/terminal/plain-text.ts'
import { readConfig } from '../config.ts'
import { ERROR_CODES } from '../protocol/errors.ts'
import type { Check } from './checks.ts'
import type { Diagnosis } from './doctor.ts'

const GROUPS: Record<Check['group'], string> = {
  machine: 'Machine',
  programs: 'Programs',
  isolation: 'Isolation',
  errand: 'Errand',
  outside: 'Outside',
}
const MARKS: Record<Check['ok'], string> = { ok: 'ok  ', warn: 'warn', bad: 'BAD ' }

export function addDoctorCommand(program: Command, { deps, setExitCode }: Cli): void {
  program
    .command('doctor')
    .description('what this machine has and lacks for Errand, and how to mend it')
    .option('--data <folder>', 'where everything is kept')
    .option('--json', 'print JSON and nothing else')
    .action(async ({ data, json }: { data?: string; json?: boolean }) => {
      const { examine } = await import('./doctor.ts')
      const diagnosis = await examine(readConfig({ dataDir: data }))
      deps.stdout.write(json ? `${safeJson(diagnosis)}\n` : renderDiagnosis(diagnosis))
      if (!diagnosis.ok) setExitCode(ERROR_CODES.unavailable.exitCode)
    })
}

export function renderDiagnosis({ ok, isolation, checks }: Diagnosis): string {
  const width = Math.max(...checks.map(({ name }) => name.length))
  const groups = Object.entries(GROUPS).map(([group, title]) => {
    const lines = checks
      .filter((check) => check.group === group)
      .flatMap((check) => linesOf(check, width))
    return `${title}\n${lines.join('\n')}\n`
  })
  const bad = checks.filter((check) => check.ok === 'bad').map(({ name }) => name)
  const end = ok ? 'Sessions can run here.' : `Sessions cannot run here: ${bad.join(', ')}.`
  return `${groups.join('\n')}\nIsolation: ${plainLine(isolation.line)}\n${plainLine(end)}\n`
}

function linesOf({ name, ok, found, why, fix }: Check, width: number): string[] {
  const line = `  ${MARKS[ok]}  ${name.padEnd(width)}  ${plainLine(found)}`
  if (ok === 'ok') return [line]
  const beside = ' '.repeat(width + 10)
  return [line, `${beside}${plainLine(why)}`, ...(fix ? [`${beside}fix: ${plainLine(fix)}`] : [])]
}
