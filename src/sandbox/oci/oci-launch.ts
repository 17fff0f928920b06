// Brings one sandbox to life: writes its bundle, has launch.pl mount it and run its container.
import { mkdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { runProcess } from '../../lib/process.ts'
import { describeProcess, type ProcessIdentity } from '../../lib/process-identity.ts'
import { AppError } from '../../protocol/errors.ts'
import { SANDBOX_PATHS } from '../../protocol/network.ts'
import { orWhenMissing, writeWhole } from '../files.ts'
import { hostMounts } from '../images/host-image.ts'
import { TOOLS_INSIDE } from '../images/programs-folder.ts'
import { type CgroupFeatures, countingPlan } from './cgroups.ts'
import { encodePlan, launcherArgs } from './launch-plan.ts'
import { type MakeConfig, type Mount, readOnlyBind } from './oci-config.ts'
import { layerPaths, runtimeStateFolder, type SandboxPaths } from './oci-paths.ts'
import type { SandboxRecord } from './oci-record.ts'
import type { Rights } from './oci-rights.ts'

export interface LaunchContext {
  paths: SandboxPaths
  record: SandboxRecord
  rights: Rights
  makeConfig: MakeConfig
  makePlan: MakePlan
  config: {
    dataDir: string
    runtimeDir: string
    runtime: string
    programs: { node: string; runner: string; agent: string }
    tools: Record<string, string>
    /** What becomes /opt/errand, made once: see programs-folder.ts. */
    programsFolder: string
  }
  machine: { arch: string; cgroups: CgroupFeatures; maxOpenFiles: number }
}

/** Writes what launch.pl does for one sandbox; the drivers are given `launchPlan`. */
export type MakePlan = (context: LaunchContext) => string[][]

const LOG_BYTES = 1 << 20

/** Resolves with process 1, which runs by then. What a signal leaves half-made is for reap to take away. */
export async function launch(
  context: LaunchContext,
  signal: AbortSignal,
): Promise<ProcessIdentity> {
  await writeBundle(context)
  return await describeProcess(await runContainer(context, signal))
}

async function writeBundle(context: LaunchContext): Promise<void> {
  const { paths, record, rights, config, machine } = context
  const layerMounts = record.shifted ? [] : layersOf(paths, record).map(({ target }) => target)
  const keptMounts = keptOf(context).flatMap(({ mounts }) => mounts)
  const mountPoints = [paths.root, paths.diskMount, ...layerMounts, ...keptMounts]
  await Promise.all(mountPoints.map((path) => mkdir(path, { recursive: true, mode: 0o711 })))
  const mounts = [
    ...(record.spec.image.kind === 'host' ? await hostMounts() : []),
    ...programMounts(paths, config),
    readOnlyBind(paths.door, SANDBOX_PATHS.door),
  ]
  const { spec, uidBase } = record
  const { root } = rights.ground(paths)
  const text = JSON.stringify(context.makeConfig({ spec, uidBase, root, mounts, machine }))
  await writeWhole(paths.config, text)
}

/** Everything of Errand inside /opt/errand: the folder first, then each part over its placeholder. */
function programMounts(paths: SandboxPaths, config: LaunchContext['config']): Mount[] {
  const { node, runner, agent } = config.programs
  return [
    readOnlyBind(config.programsFolder, '/opt/errand'),
    readOnlyBind(node, SANDBOX_PATHS.node),
    readOnlyBind(runner, dirname(SANDBOX_PATHS.runner)),
    readOnlyBind(agent, SANDBOX_PATHS.agent),
    ...Object.entries(config.tools).map(([name, path]) =>
      readOnlyBind(path, `${TOOLS_INSIDE}/${name}`),
    ),
    readOnlyBind(paths.sessionFile, SANDBOX_PATHS.session),
    readOnlyBind(paths.beforeRunner, SANDBOX_PATHS.beforeRunner),
  ]
}

async function runContainer(context: LaunchContext, signal: AbortSignal): Promise<number> {
  const { paths, rights } = context
  const { exitCode, stdout, stderr } = await runProcess('perl', launcherArgs(paths.sessionId), {
    env: rights.env,
    input: encodePlan(context.makePlan(context)),
    signal,
  })
  const pid = /^ok (\d+)$/m.exec(stdout)?.[1]
  if (exitCode === 0 && pid) return Number(pid)
  const log = await orWhenMissing('', readFile(paths.runtimeLog, 'utf8'))
  const why = [stdout, stderr, log]
    .map((text) => text.trim())
    .filter(Boolean)
    .join('; ')
  throw new AppError('internal', 'launch_failed', `The sandbox could not be made: ${why}`)
}

/** What launch.pl does, in order; see there for the operations. */
export function launchPlan(context: LaunchContext): string[][] {
  const { paths, record, rights, config, machine } = context
  const { writable, root, begin, overlayOptions } = rights.ground(paths)
  const base = String(record.uidBase)
  const upper = join(writable, 'upper')
  const work = join(writable, 'work')
  const layers = layersOf(paths, record)
  const kept = keptOf(context)
  // Over the image, below what Errand makes for this sandbox alone.
  const [own, ...image] = layers.map(({ target }) => target)
  const lower = [own, ...kept.map(({ lower: folder }) => folder), ...image].join(':')
  return [
    ...begin,
    ['folder', upper, base],
    ['folder', work, base],
    ...(record.shifted ? [] : layers.map(({ source, target }) => ['idmap', source, target, base])),
    ...kept.flatMap(({ plan }) => plan),
    ['overlay', root, `lowerdir=${lower},upperdir=${upper},workdir=${work}${overlayOptions}`],
    ...countingPlan(paths.sessionId, machine.cgroups),
    [
      ...['container', base, paths.pidFile, paths.exitFile, paths.log, String(LOG_BYTES)],
      ...[config.runtime, ...stateOption(context), '--log', paths.runtimeLog],
      ...['run', '--detach', '--bundle', paths.bundle, '--pid-file', paths.pidFile],
      paths.sessionId,
    ],
  ]
}

/** A layer whose files have the right owners already is used where it lies. */
function layersOf(paths: SandboxPaths, record: SandboxRecord) {
  return [paths.layer, ...record.layers].map((source, index) => ({
    source,
    target: record.shifted ? source : paths.layerMount(index),
  }))
}

/** What the plan says of each kept layer, where it is mounted, and the folder that becomes a lower one. */
function keptOf({ paths, record, rights, config }: LaunchContext) {
  return record.kept.map(({ layerId, uidBase }, index) => {
    const disk = paths.keptDisk(index)
    const { begin, upper } = rights.layerGround(layerPaths(config, layerId), disk)
    const isOwn = uidBase === record.uidBase
    const files = paths.keptMount(index)
    const shown = ['idmap', upper, files, String(record.uidBase), String(uidBase)]
    return {
      plan: isOwn ? begin : [...begin, shown],
      mounts: isOwn ? [disk] : [disk, files],
      lower: isOwn ? upper : files,
    }
  })
}

function stateOption({ config, rights }: LaunchContext): string[] {
  return ['--root', runtimeStateFolder(config.runtimeDir), ...rights.runtimeOptions]
}
