// Brings one sandbox to life: writes its bundle, has launch.pl mount and create it, sets up its network, starts it.
import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { runChecked, runProcess } from '../lib/process.ts'
import { AppError } from '../protocol/errors.ts'
import { SANDBOX_PATHS } from '../protocol/network.ts'
import type { CgroupFeatures } from './cgroups.ts'
import { orWhenMissing, writeWhole } from './files.ts'
import { hostMounts } from './host-image.ts'
import { encodePlan, LAUNCHER, TOOLS_ENV } from './launch-plan.ts'
import { type Mount, ociConfig, readOnlyBind } from './oci-config.ts'
import { runtimeStateFolder, type SandboxPaths } from './oci-paths.ts'
import { describeProcess, type ProcessIdentity, type SandboxRecord } from './oci-record.ts'
import { setUpNetwork } from './sandbox-network.ts'

export interface LaunchContext {
  paths: SandboxPaths
  record: SandboxRecord
  config: {
    runtimeDir: string
    runtime: string
    programs: { node: string; runner: string; agent: string }
    /** A folder with an empty file for each program, made once: see programsFolder. */
    programsFolder: string
  }
  machine: { arch: string; cgroups: CgroupFeatures; maxOpenFiles: number }
}

const LOG_BYTES = 1 << 20

/** Resolves with process 1, which runs by then. */
export async function launch(context: LaunchContext): Promise<ProcessIdentity> {
  const { paths, config } = context
  await writeBundle(context)
  const pid = await createContainer(context)
  const identity = await describeProcess(pid)
  await setUpNetwork(pid)
  await runChecked(config.runtime, [...stateOption(context), 'start', paths.sessionId], {
    env: TOOLS_ENV,
  })
  return identity
}

async function writeBundle({ paths, record, config, machine }: LaunchContext): Promise<void> {
  const layerMounts = record.shifted ? [] : layersOf(paths, record).map(({ target }) => target)
  const mountPoints = [paths.root, paths.diskMount, ...layerMounts]
  await Promise.all(mountPoints.map((path) => mkdir(path, { recursive: true, mode: 0o711 })))
  const mounts = [
    ...(record.spec.image.kind === 'host' ? await hostMounts() : []),
    ...programMounts(paths, config),
    readOnlyBind(paths.door, SANDBOX_PATHS.door),
  ]
  const { spec, uidBase } = record
  const text = JSON.stringify(ociConfig({ spec, uidBase, root: paths.root, mounts, machine }))
  await writeWhole(paths.config, text)
}

/** Everything of Errand inside /opt/errand: the folder first, then each file over its placeholder. */
function programMounts(paths: SandboxPaths, config: LaunchContext['config']): Mount[] {
  const { node, runner, agent } = config.programs
  return [
    readOnlyBind(config.programsFolder, '/opt/errand'),
    readOnlyBind(node, SANDBOX_PATHS.node),
    readOnlyBind(runner, SANDBOX_PATHS.runner),
    readOnlyBind(agent, SANDBOX_PATHS.agent),
    readOnlyBind(paths.sessionFile, SANDBOX_PATHS.session),
  ]
}

async function createContainer(context: LaunchContext): Promise<number> {
  const { paths } = context
  const { exitCode, stdout, stderr } = await runProcess('perl', [LAUNCHER, paths.sessionId], {
    env: TOOLS_ENV,
    input: encodePlan(launchPlan(context)),
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
  const { paths, record, config } = context
  const base = String(record.uidBase)
  const upper = join(paths.diskMount, 'upper')
  const work = join(paths.diskMount, 'work')
  const layers = layersOf(paths, record)
  const lower = layers.map(({ target }) => target).join(':')
  return [
    ['disk', paths.disk, paths.diskMount],
    ['folder', upper, base],
    ['folder', work, base],
    ...(record.shifted ? [] : layers.map(({ source, target }) => ['idmap', source, target, base])),
    ['overlay', paths.root, `lowerdir=${lower},upperdir=${upper},workdir=${work}`],
    [
      ...['create', base, paths.pidFile, paths.exitFile, paths.log, String(LOG_BYTES)],
      ...[config.runtime, ...stateOption(context), '--log', paths.runtimeLog],
      ...['create', '--bundle', paths.bundle, '--pid-file', paths.pidFile, paths.sessionId],
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

function stateOption({ config }: LaunchContext): string[] {
  return ['--root', runtimeStateFolder(config.runtimeDir)]
}
