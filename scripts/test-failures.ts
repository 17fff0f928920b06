// What failed in a run of Vitest, in short, read from its JSON report.
import { existsSync, readFileSync } from 'node:fs'
import { relative } from 'node:path'
import { stripVTControlCharacters } from 'node:util'

/** A part of what Vitest's `json` reporter writes. */
interface Report {
  testResults: {
    name: string
    /** Why the file could not be run; empty when it was. */
    message: string
    assertionResults: { fullName: string; status: string; failureMessages: string[] }[]
  }[]
}

const SHOWN_LINES = 12
const SHOWN_CHARS = 200

/** One text for each test or file that failed. None when there is no report: what ran could not begin, and has said so itself. */
export function readFailures(report: string, root: string): string[] {
  if (!existsSync(report)) return []
  const { testResults }: Report = JSON.parse(readFileSync(report, 'utf8'))
  return testResults.flatMap(({ name, message, assertionResults }) => {
    const file = relative(root, name)
    const failed = assertionResults.filter(({ status }) => status === 'failed')
    const tests = failed.map(({ fullName, failureMessages }) =>
      describe(`${file} > ${fullName}`, failureMessages.join('\n')),
    )
    return message === '' ? tests : [describe(file, message), ...tests]
  })
}

function describe(what: string, words: string): string {
  const lines = stripVTControlCharacters(words).split('\n')
  const said = lines.filter((line) => !/^\s+at (.*node_modules|new Promise)/.test(line))
  return [
    what,
    ...said.slice(0, SHOWN_LINES).map((line) => `  ${line.slice(0, SHOWN_CHARS)}`),
  ].join('\n')
}
