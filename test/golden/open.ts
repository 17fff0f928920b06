// The golden data of every version so far, for the tests that hold this one to it.
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BackupManifest, readJsonLines, unpackBackup } from '../../src/backup/archive.ts'

export interface ExpectedSession {
  id: string
  title: string
  status: string
  sandbox: string
  lastSeq: number
  types: string[]
}

const folder = import.meta.dirname

export const goldenVersions = readdirSync(folder, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)

export const goldenFile = (version: string) => join(folder, version, 'backup.tar.gz')

export function readExpected(version: string): ExpectedSession[] {
  const text = readFileSync(join(folder, version, 'expected.ndjson'), 'utf8')
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}

export interface Unpacked {
  /** The caller removes it. */
  folder: string
  manifest: BackupManifest
  /** The rows of a table as text, by column. */
  rows(table: string): Promise<Record<string, string | null>[]>
}

export async function unpackGolden(version: string): Promise<Unpacked> {
  const unpacked = mkdtempSync(join(tmpdir(), 'errand-golden-'))
  const manifest = await unpackBackup(goldenFile(version), unpacked)
  return {
    folder: unpacked,
    manifest,
    rows: async (table) => {
      const lines = readJsonLines(join(unpacked, 'database', `${table}.ndjson`))
      const columns = (await lines.next()).value as string[]
      const rows: Record<string, string | null>[] = []
      for await (const row of lines)
        rows.push(
          Object.fromEntries(
            (row as (string | null)[]).map((value, index) => [columns[index] ?? '', value]),
          ),
        )
      return rows
    },
  }
}
