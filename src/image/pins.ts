// What holds a build to the set of a manifest: versions for apt and pip, a date for npm, and what can be known before it
// begins to come out otherwise.
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runChecked } from '../lib/process.ts'
import type { Definition } from './definition.ts'
import type { MachineSettings } from './machine.ts'
import type { Manifest, PackageRecord } from './manifest.ts'

export interface Pins {
  /** For apt: each version is taken, also where a newer one is offered. */
  preferences: string
  /** For pip. */
  constraints: string
  /** npm takes what was there then. */
  before: string
}

/** Higher than this apt goes back to an earlier version. */
const GOES_BACK = 1001

/** Undefined when the manifest names nothing that could be held. */
export function pinsOf({ packages, builtAt }: Manifest): Pins | undefined {
  if (packages.length === 0) return undefined
  const apt = ofKind(packages, 'apt').map(
    ({ name, version }) =>
      `Package: ${name}\nPin: version ${version}\nPin-Priority: ${GOES_BACK}\n\n`,
  )
  return { preferences: apt.join(''), constraints: constraintsOf(packages), before: builtAt }
}

const ofKind = (packages: PackageRecord[], kind: string) =>
  packages.filter((item) => item.kind === kind)

/** A package that is there in two versions, in folders of their own, cannot be held to both. */
function constraintsOf(packages: PackageRecord[]): string {
  const versions = new Map<string, Set<string>>()
  for (const { name, version } of ofKind(packages, 'pip')) {
    const key = name.toLowerCase().replace(/[-_.]+/g, '-')
    versions.set(key, (versions.get(key) ?? new Set()).add(version))
  }
  const single = [...versions].filter(([, found]) => found.size === 1)
  return single.map(([name, [version]]) => `${name}==${version}\n`).join('')
}

/** What is built with pins is no beginning of what is built with others, or without. */
export function pinnedKey(key: string, pins: Pins | undefined): string {
  if (!pins || key === '') return key
  return createHash('sha256').update(key).update(JSON.stringify(pins)).digest('hex')
}

/** Tools whose version stands in the definition, and is another than that of the manifest. */
export function toolDifferences({ steps }: Definition, { packages }: Manifest): string[] {
  return steps
    .flatMap(({ tools }) => Object.entries(tools))
    .flatMap(([tool, version]) => {
      const wanted = packages.filter(({ kind, name }) => kind !== 'apt' && name === tool)
      if (wanted.length === 0 || wanted.some((item) => item.version === version)) return []
      const versions = wanted.map((item) => item.version).join(', ')
      return [`${tool} is ${version} in the definition (wanted ${versions})`]
    })
}

/** Versions that the mirror does not offer any more. Nothing is looked up where mmdebstrap takes a mirror of its own. */
export async function mirrorDifferences(
  { packages }: Manifest,
  { aptSources, aptOptions }: MachineSettings,
  folder: string,
): Promise<string[]> {
  const wanted = ofKind(packages, 'apt')
  if (wanted.length === 0 || aptSources === '') return []
  const place = await mkdtemp(join(folder, 'mirror-'))
  try {
    const apt = await prepareApt(place, { aptSources, aptOptions })
    await runChecked('apt-get', [...apt, 'update'])
    const names = wanted.map(({ name }) => name)
    const said = await runChecked('apt-cache', [...apt, 'madison', ...names])
    return versionsMissing(wanted, said)
  } finally {
    await rm(place, { recursive: true, force: true })
  }
}

/** Arguments that keep apt within a folder: nothing of this machine's own packages counts. */
async function prepareApt(
  place: string,
  { aptSources, aptOptions }: Pick<MachineSettings, 'aptSources' | 'aptOptions'>,
): Promise<string[]> {
  for (const name of ['state/lists/partial', 'cache/archives/partial'])
    await mkdir(join(place, name), { recursive: true })
  await writeFile(join(place, 'sources.list'), aptSources)
  await writeFile(join(place, 'status'), '')
  const own = [
    ...[`Dir::State "${place}/state";`, `Dir::State::status "${place}/status";`],
    ...[`Dir::Cache "${place}/cache";`, 'APT::Sandbox::User "root";'],
    ...[`Dir::Etc::SourceList "${place}/sources.list";`, 'Dir::Etc::SourceParts "/dev/null";'],
    ...['Dir::Etc::Preferences "/dev/null";', 'Dir::Etc::PreferencesParts "/dev/null";'],
  ]
  await writeFile(join(place, 'apt.conf'), `${[...aptOptions, ...own].join('\n')}\n`)
  return ['--config-file', join(place, 'apt.conf')]
}

/** `said` has lines of `apt-cache madison`: package, version and source, with bars between them. */
export function versionsMissing(wanted: PackageRecord[], said: string): string[] {
  const offered = new Map<string, string[]>()
  for (const line of said.split('\n')) {
    const [name, version] = line.split('|').map((word) => word.trim())
    if (name && version) offered.set(name, [...(offered.get(name) ?? []), version])
  }
  return wanted.flatMap(({ name, version }) => {
    const found = [...new Set(offered.get(name) ?? [])]
    if (found.includes(version)) return []
    const now = found.length > 0 ? `is ${found.join(', ')}` : 'is missing'
    return [`apt ${name} ${now} (wanted ${version})`]
  })
}
