// Builds an image from its definition: Debian's base by mmdebstrap, then one step after the other inside it. A finished step
// is not run again, so a build that was ended goes on where it was; the image appears by a rename when all is done.
import { copyFile, mkdir, readFile, rename, rm, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { AllowedNetwork } from '../config.ts'
import { AppError } from '../protocol/errors.ts'
import { exists, parseAs, readIfThere, writeWhole } from '../sandbox/files.ts'
import { publishVersion } from '../sandbox/images/named-images.ts'
import { type DefinedStep, type Definition, stepKeys } from './definition.ts'
import { type BuildPlaces, runInside, runOutside, type StepRun } from './inside.ts'
import { openBuildFolder } from './lock.ts'
import type { MachineSettings } from './machine.ts'
import { type Manifest, readRecords, refuseDifferences, refuseLines } from './manifest.ts'
import { mirrorDifferences, type Pins, pinnedKey, pinsOf, toolDifferences } from './pins.ts'
import { keepRegistries } from './registries.ts'
import { versionAt } from './version-at.ts'

export interface Progress {
  step(at: number, of: number, name: string): void
  line(text: string): void
}

export interface BuildOptions {
  dataDir: string
  allowedNetworks: AllowedNetwork[]
  definition: Definition
  machine: MachineSettings
  /** Authorities for the build's own connections, in one file. */
  caFile: string
  /** The program check-tools, as it is mounted into sandboxes. */
  checkTools: string
  /** Variables of this machine for its way out. */
  proxies: Record<string, string>
  /** The set that has to come out. */
  wanted?: Manifest
  now: () => Date
  progress: Progress
  signal: AbortSignal
}

interface Step {
  name: string
  key: string
  run(run: StepRun): Promise<void>
}

interface Build extends BuildOptions, BuildPlaces {
  folder: string
  pins: Pins | undefined
}

const NEEDED_BYTES = 12 * 1024 ** 3
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const NODE_ARCHS: Record<string, string> = { x64: 'x64', arm64: 'arm64' }
const CA_INSIDE = '/run/build/ca.pem'
const CA_VARIABLES = [
  'SSL_CERT_FILE',
  'CURL_CA_BUNDLE',
  'PIP_CERT',
  'REQUESTS_CA_BUNDLE',
  'NODE_EXTRA_CA_CERTS',
]

/** Resolves with the manifest of the image and the folder that it lies in. */
export async function buildImage(
  options: BuildOptions,
): Promise<{ manifest: Manifest; path: string }> {
  const { dataDir, definition, wanted } = options
  const { folder, unlock } = await openBuildFolder(dataDir, definition.name)
  try {
    await checkSpace(folder)
    const build: Build = {
      ...options,
      folder,
      pins: wanted && pinsOf(wanted),
      root: join(folder, 'rootfs'),
      build: join(folder, 'build'),
      archives: join(folder, 'archives'),
    }
    // Ended between the last two renames.
    const finished = join(folder, 'finished/rootfs')
    if (await exists(finished)) await rename(finished, build.root)
    if (wanted) await refuseAhead(build, wanted)
    await runSteps(build, await planSteps(build))
    return await finish(build)
  } finally {
    await unlock()
  }
}

/** Nothing is begun that is known to come out otherwise. */
async function refuseAhead(
  { definition, machine, folder, progress }: Build,
  wanted: Manifest,
): Promise<void> {
  progress.line('looking for the versions of the manifest')
  const mirror = await mirrorDifferences(wanted, machine, folder)
  refuseLines([...toolDifferences(definition, wanted), ...mirror])
}

async function planSteps(build: Build): Promise<Step[]> {
  const { definition, pins } = build
  const [base = '', ...keys] = (await stepKeys(definition)).map((key) => pinnedKey(key, pins))
  return [
    { name: `Debian ${definition.suite}`, key: base, run: (run) => makeBase(build, run) },
    ...definition.steps.map((step, at) => ({
      name: step.name,
      key: keys[at] ?? '',
      run: (run: StepRun) => runDefined(build, step, run),
    })),
    // Its records are of now: it runs each time.
    {
      name: 'manifest',
      key: '',
      run: (run) => runScript(build, { script: '../finish.sh', tools: {} }, run),
    },
  ]
}

async function runSteps(build: Build, steps: Step[]): Promise<void> {
  const { folder, root, progress, signal } = build
  const stateFile = join(folder, 'done.json')
  // An image that was put in its place has left the rest behind when the build was ended just then.
  let done = (await exists(root)) ? await readDone(stateFile, steps) : []
  for (const [at, { name, key, run }] of steps.entries()) {
    if (key !== '' && done[at] === key) continue
    progress.step(at + 1, steps.length, name)
    await mkdir(join(folder, 'log'), { recursive: true })
    const number = String(at).padStart(2, '0')
    await run({
      log: join(folder, 'log', `${number}.log`),
      env: environmentOf(build, number),
      signal,
      onLine: progress.line,
    })
    done = [...done, key]
    await writeWhole(stateFile, JSON.stringify(done))
  }
}

/** The keys of finished steps; none when what was done is no beginning of what is wanted now. */
async function readDone(path: string, steps: Step[]): Promise<string[]> {
  const done = parseAs(z.array(z.string()), await readIfThere(path)) ?? []
  return done.every((key, at) => steps[at]?.key === key) ? done : []
}

function environmentOf({ machine, proxies, pins }: Build, number: string): Record<string, string> {
  return {
    ...proxies,
    ...(pins && { PIP_CONSTRAINT: '/run/build/constraints.txt', npm_config_before: pins.before }),
    ...Object.fromEntries(CA_VARIABLES.map((name) => [name, CA_INSIDE])),
    PATH,
    APT_CONFIG: '/run/build/apt.conf',
    NPM_REGISTRY: machine.npmRegistry,
    NODE_ARCH: NODE_ARCHS[process.arch] ?? process.arch,
    npm_config_cache: '/run/build/cache/npm',
    PIP_CACHE_DIR: '/run/build/cache/pip',
    DOWNLOADS: '/run/build/downloads',
    RECORD: `/run/build/records/${number}`,
  }
}

async function makeBase(build: Build, run: StepRun): Promise<void> {
  const { root, machine, definition, caFile } = build
  for (const path of [root, build.build, build.archives]) {
    await rm(path, { recursive: true, force: true })
  }
  for (const path of ['downloads', 'records', 'cache'])
    await mkdir(join(build.build, path), { recursive: true })
  await mkdir(join(build.archives, 'partial'), { recursive: true })
  await writeFile(join(build.build, 'ca.pem'), await readFile(caFile))
  await copyFile(build.checkTools, join(build.build, 'check-tools'))
  const options = [...machine.aptOptions, 'APT::Install-Recommends "false";']
  const inside = [
    ...options,
    `Acquire::https::CAInfo "${CA_INSIDE}";`,
    'Binary::apt-get::APT::Keep-Downloaded-Packages "true";',
    'Dir::Etc::Preferences "/run/build/preferences";',
  ]
  const { preferences = '', constraints = '' } = build.pins ?? {}
  await writeFile(join(build.build, 'preferences'), preferences)
  await writeFile(join(build.build, 'constraints.txt'), constraints)
  await writeFile(join(build.build, 'apt.conf'), `${inside.join('\n')}\n`)
  const sources = join(build.build, 'sources.list')
  await writeFile(sources, machine.aptSources)
  const command = [
    ...['mmdebstrap', '--mode=root', '--variant=minbase', '--format=directory'],
    ...options.map((option) => `--aptopt=${option}`),
    '--setup-hook=cp "$PREFERENCES" "$1"/etc/apt/preferences',
    ...[definition.suite, root, ...(machine.aptSources === '' ? [] : [sources])],
  ]
  const env = { ...build.proxies, PATH, PREFERENCES: join(build.build, 'preferences') }
  await runOutside(command, { ...run, env })
  await rm(join(root, 'etc/apt/preferences'), { force: true })
  for (const { path, text } of machine.files) {
    await mkdir(join(root, path, '..'), { recursive: true })
    await writeFile(join(root, path), text)
  }
  // Nothing is started while packages are installed.
  await writeFile(join(root, 'usr/sbin/policy-rc.d'), '#!/bin/sh\nexit 101\n', { mode: 0o755 })
}

async function runDefined(build: Build, step: DefinedStep, run: StepRun): Promise<void> {
  if (step.script) return await runScript(build, { script: step.script, tools: step.tools }, run)
  await runText(build, `apt-get update\napt_install ${step.apt ?? ''}\n`, run)
}

async function runScript(
  build: Build,
  { script, tools }: { script: string; tools: Record<string, string> },
  run: StepRun,
): Promise<void> {
  const words = Object.entries(tools).map(([name, version]) => `${name}=${version}`)
  const text = await readFile(join(build.definition.folder, script), 'utf8')
  await runText(build, text, { ...run, env: { ...run.env, TOOLS: words.join(' ') } })
}

async function runText(build: Build, text: string, run: StepRun): Promise<void> {
  const prelude = await readFile(join(build.definition.folder, '../prelude.sh'), 'utf8')
  await rm(join(build.build, run.env.RECORD?.slice('/run/build/'.length) ?? ''), { force: true })
  await writeFile(join(build.build, 'step.sh'), `${prelude}\n${text}`)
  await runInside(build, ['/bin/bash', '/run/build/step.sh'], run)
}

async function finish(build: Build): Promise<{ manifest: Manifest; path: string }> {
  const { dataDir, definition, wanted, now, folder, root } = build
  const packages = await readRecords(join(build.build, 'records'))
  if (wanted) refuseDifferences(wanted, packages)
  const { name, suite, absent } = definition
  const builtAt = now().toISOString()
  const version = versionAt(builtAt)
  const manifest: Manifest = { name, version, builtAt, suite, packages, absent }
  for (const warning of await keepRegistries(build, name, root)) build.progress.line(warning)
  const finished = join(folder, 'finished')
  await mkdir(finished, { recursive: true, mode: 0o700 })
  await writeFile(join(finished, 'manifest.json'), `${JSON.stringify(manifest, null, 1)}\n`)
  await rename(root, join(finished, 'rootfs'))
  const path = await publishVersion(dataDir, name, { finished, version })
  await rm(folder, { recursive: true, force: true })
  return { manifest, path }
}

async function checkSpace(folder: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  if (bavail * bsize >= NEEDED_BYTES || (await exists(join(folder, 'done.json')))) return
  const free = Math.floor((bavail * bsize) / 1024 ** 3)
  const message = `Building an image takes 12 GiB at ${folder}; ${free} GiB are free. Make room, or name another folder with --data.`
  throw new AppError('no_space', 'image_no_space', message)
}
