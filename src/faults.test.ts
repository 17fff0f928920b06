// docs/faults.md names a test for each fault: every one of them is in the file that it names.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '..')
const NAMED = /`([^`]+\.ts)` "([^"]+)"/g

/** Rows of tables that name a test; without their head and the line below it. */
function readRows(): string[] {
  const lines = readFileSync(join(ROOT, 'docs/faults.md'), 'utf8').split('\n')
  return lines.filter((line) => line.split('|').length === 5 && !/^\| what happens|^\|-/.test(line))
}

const named = readRows().flatMap((row) =>
  [...row.matchAll(NAMED)].map(([, file = '', title = '']) => ({ file, title })),
)

it('has a test in every row', () => {
  expect(readRows().length).toBeGreaterThan(30)
  for (const row of readRows()) expect(row).toMatch(/`[^`]+\.ts` "[^"]+"/)
})

it.each(named)('$file: $title', ({ file, title }) => {
  const path = join(ROOT, file)
  expect(existsSync(path)).toBe(true)
  // As a test's title, in whatever quotes.
  const text = readFileSync(path, 'utf8')
  expect(["'", '"', '`'].some((quote) => text.includes(`${quote}${title}${quote}`))).toBe(true)
})
