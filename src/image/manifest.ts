// What is in an image: every package and tool with version and checksum, written when it is built, compared when it is built
// again from it.
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { AppError } from '../protocol/errors.ts'

const packageSchema = z.object({
  /** Who gave it: apt, npm, pip, go, rust. */
  kind: z.string(),
  name: z.string(),
  version: z.string(),
  /** As its source gives it: of the archive, not of the files in the image. */
  checksum: z.string(),
})
export type PackageRecord = z.infer<typeof packageSchema>

export const manifestSchema = z.object({
  name: z.string(),
  version: z.string(),
  builtAt: z.iso.datetime(),
  /** Debian's release; null for an image that was brought along. */
  suite: z.string().nullable(),
  packages: z.array(packageSchema),
  absent: z.array(z.object({ name: z.string(), reason: z.string() })).default([]),
})
export type Manifest = z.infer<typeof manifestSchema>

export async function readManifest(path: string): Promise<Manifest> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new AppError(
      'not_found',
      'manifest_missing',
      `There is no manifest at ${path}: ${error.message}`,
    )
  })
  try {
    return manifestSchema.parse(JSON.parse(text))
  } catch (error) {
    const message = `${path} is no manifest of an image. errand image list --json names the manifest of each.`
    throw new AppError('invalid', 'manifest_unreadable', message, { cause: error })
  }
}

/** The lines that steps wrote: kind, name, version, checksum, with tabs between them. */
export async function readRecords(folder: string): Promise<PackageRecord[]> {
  const names = (await readdir(folder)).toSorted()
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))
  return sortPackages(texts.flatMap(parseRecords))
}

export function parseRecords(text: string): PackageRecord[] {
  return text
    .split('\n')
    .map((line) => line.split('\t'))
    .flatMap(([kind, name, version, checksum = '']) =>
      kind && name && version ? [{ kind, name, version, checksum }] : [],
    )
}

function sortPackages(packages: PackageRecord[]): PackageRecord[] {
  const byLine = new Map(packages.map((item) => [Object.values(item).join('\t'), item]))
  return [...byLine.keys()].toSorted().flatMap((line) => byLine.get(line) ?? [])
}

/** One line for each package that differs; none when both name the same set. */
export function differences(wanted: PackageRecord[], found: PackageRecord[]): string[] {
  const lines: string[] = []
  const [before, after] = [versionsOf(wanted), versionsOf(found)]
  for (const [name, versions] of before) {
    const now = after.get(name)
    if (now === undefined) lines.push(`${name} is missing (wanted ${versions})`)
    else if (now !== versions) lines.push(`${name} is ${now} (wanted ${versions})`)
  }
  for (const [name, versions] of after)
    if (!before.has(name)) lines.push(`${name} ${versions} is not in the manifest`)
  return lines.toSorted()
}

function versionsOf(packages: PackageRecord[]): Map<string, string> {
  const all = new Map<string, string[]>()
  for (const { kind, name, version, checksum } of packages) {
    const key = `${kind} ${name}`
    all.set(key, [...(all.get(key) ?? []), checksum ? `${version} ${checksum}` : version])
  }
  return new Map([...all].map(([key, versions]) => [key, versions.toSorted().join(', ')]))
}

const MOST_LINES = 40

export function refuseDifferences(wanted: Manifest, found: PackageRecord[]): void {
  refuseLines(differences(wanted.packages, found))
}

export function refuseLines(lines: string[]): void {
  if (lines.length === 0) return
  const rest = lines.length > MOST_LINES ? `\nand ${lines.length - MOST_LINES} more` : ''
  const message = `The registries do not give the set of the manifest any more; nothing was replaced.\n${lines.slice(0, MOST_LINES).join('\n')}${rest}`
  throw new AppError('conflict', 'manifest_differs', message)
}
