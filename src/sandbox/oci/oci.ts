// The driver `oci`: a container under runc, or another runtime with the same interface, on the machine of sandboxd.
// All that it knows is on disk, so it may die and be made again at any time. Verbs for one session run one after the other.
// It does not protect against flaws of the host's kernel, which all sandboxes share with it.
import { rm } from 'node:fs/promises'
import { isAlive } from '../../lib/process-identity.ts'
import { familyUsedMs } from '../../lib/process-list.ts'
import { AppError } from '../../protocol/errors.ts'
import { watchDisks } from '../disks/disk-watch.ts'
import { keepLayer, listLayers, removeLayer, removeUnfinished } from '../disks/kept-layers.ts'
import type { IsolationReport, SandboxDriver, SandboxStatus } from '../driver.ts'
import { exists, writeWhole } from '../files.ts'
import { type MakeConfig, ociConfig } from './oci-config.ts'
import { type Oci, type OciDriverConfig, openOci, readAllClaims } from './oci-context.ts'
import { createSandbox } from './oci-create.ts'
import { launch, launchPlan, type MakePlan } from './oci-launch.ts'
import {
  runtimeStateFolder,
  type SandboxPaths,
  sandboxesFolder,
  sandboxPaths,
} from './oci-paths.ts'
import { askToEnd, observeExit, reap } from './oci-reap.ts'
import { listSessionIds, readExit, readRecord, readRun } from './oci-record.ts'

type Report = (what: string, error: unknown) => void

/** `report` hears of what failed in the background: nobody waits for it. */
export async function createOciDriver(
  given: OciDriverConfig,
  report: Report,
  makeConfig: MakeConfig = ociConfig,
  makePlan: MakePlan = launchPlan,
): Promise<SandboxDriver> {
  const oci = await openOci(given, { makeConfig, makePlan })
  const verbs = createVerbs(oci.serialize)
  const at = (sessionId: string) => sandboxPaths(oci.config, sessionId)
  await cleanUp(oci, report)
  warmUp(oci, report)
  if (oci.rights.measureDisk) void watchDisks(oci, report)
  return {
    kind: 'oci',
    isolation: async () => isolationOf(oci),
    create: (spec, signal) =>
      verbs.begin(spec.sessionId, signal, (either) =>
        createSandbox(oci, at(spec.sessionId), spec, either),
      ),
    start: (sessionId, signal) =>
      verbs.begin(sessionId, signal, (either) => start(oci, at(sessionId), either)),
    stop: (sessionId, { graceMs }) => verbs.end(sessionId, () => stop(oci, at(sessionId), graceMs)),
    list: async () => {
      const ids = await listSessionIds(sandboxesFolder(oci.config.dataDir))
      const found = await Promise.all(ids.map((id) => describe(at(id))))
      return found.filter((status) => status !== undefined)
    },
    usedMs: (sessionId) => usedMs(at(sessionId)),
    remove: (sessionId) => verbs.end(sessionId, () => remove(oci, at(sessionId))),
    identify: (image) => oci.serialize('images', () => oci.images.identify(image)),
    keepLayer: (sessionId, layerId) => {
      const paths = at(sessionId)
      const reap = () => reapSandbox(oci, paths)
      return oci.serialize(sessionId, () => keepLayer(oci, paths, { layerId, reap }))
    },
    listLayers: () => listLayers(oci),
    // Sandboxes are given theirs in the same queue.
    removeLayer: (layerId) => oci.serialize('id ranges', () => removeLayer(oci, layerId)),
  }
}

/** What ends a sandbox waits for nothing that begins it: that is aborted, whoever asked for it. */
function createVerbs(serialize: Oci['serialize']) {
  const beginnings = new Map<string, Set<AbortController>>()
  return {
    begin: async (
      sessionId: string,
      signal: AbortSignal | undefined,
      work: (signal: AbortSignal) => Promise<void>,
    ) => {
      const ending = new AbortController()
      const own = beginnings.get(sessionId) ?? new Set()
      beginnings.set(sessionId, own.add(ending))
      const either = signal ? AbortSignal.any([signal, ending.signal]) : ending.signal
      try {
        await serialize(sessionId, async () => {
          either.throwIfAborted()
          await work(either)
        })
      } finally {
        own.delete(ending)
        if (own.size === 0) beginnings.delete(sessionId)
      }
    },
    end: (sessionId: string, work: () => Promise<void>) => {
      const why = new AppError('conflict', 'sandbox_ending', 'The sandbox is being ended')
      for (const beginning of beginnings.get(sessionId) ?? []) beginning.abort(why)
      return serialize(sessionId, work)
    },
  }
}

/** Takes away what ended while no sandboxd looked, what nobody reaches any more, and what was begun and never finished. */
export async function cleanUp(oci: Oci, report: Report): Promise<void> {
  const { config } = oci
  const folders = [
    sandboxesFolder(config.dataDir),
    `${config.runtimeDir}/sandboxes`,
    runtimeStateFolder(config.runtimeDir),
  ]
  const ids = new Set((await Promise.all(folders.map(listSessionIds))).flat())
  for (const id of ids) {
    const paths = sandboxPaths(config, id)
    try {
      if (!(await exists(paths.record))) await remove(oci, paths)
      else if (!(await isReachable(paths))) await reapSandbox(oci, paths)
    } catch (error) {
      report(`clean up ${id}`, error)
    }
  }
  await removeUnfinished(oci)
  const claims = await readAllClaims(oci)
  await oci.images.prune(claims.flatMap(({ layers }) => layers))
}

/**
 * Runs, and was started with this runtime folder. With another one, as before its data folder was moved, it has a door that no
 * gateway opens any more: its session goes on with its files as soon as it is known that it has ended.
 */
async function isReachable(paths: SandboxPaths): Promise<boolean> {
  const run = await readRun(paths)
  return run !== undefined && (await exists(paths.bundle)) && (await isAlive(run))
}

/** So that the first sandbox need not wait for its image. */
function warmUp(oci: Oci, report: Report): void {
  oci
    .serialize('images', () => oci.images.prepare({ kind: 'host' }))
    .catch((error) => report('prepare the image host', error))
}

async function start(oci: Oci, paths: SandboxPaths, signal: AbortSignal): Promise<void> {
  const record = await readRecord(paths)
  if (!record) throw new AppError('not_found', 'sandbox_missing', 'There is no such sandbox')
  const run = await readRun(paths)
  if (run && (await isAlive(run))) return
  await requireFiles(oci, paths)
  await reapSandbox(oci, paths)
  await oci.rights.repairDisk(paths, signal)
  signal.throwIfAborted()
  try {
    const identity = await launch({ paths, record, ...launchSettings(oci) }, signal)
    const startedAt = new Date().toISOString()
    await rm(paths.lastExit, { force: true })
    await writeWhole(paths.lastRun, JSON.stringify({ ...identity, startedAt }))
  } catch (error) {
    await reapSandbox(oci, paths)
    throw error
  }
}

async function requireFiles({ config }: Oci, paths: SandboxPaths): Promise<void> {
  for (const path of [...Object.values(config.programs), ...Object.values(config.tools)])
    if (!(await exists(path)))
      throw new AppError(
        'unavailable',
        'program_missing',
        `A program for sandboxes is missing: ${path}`,
      )
  if (!(await exists(paths.door)))
    throw new AppError('unavailable', 'door_missing', 'The gateway has not opened a door yet')
}

async function stop(oci: Oci, paths: SandboxPaths, graceMs: number): Promise<void> {
  await askToEnd(paths, graceMs)
  await reapSandbox(oci, paths)
}

async function remove(oci: Oci, paths: SandboxPaths): Promise<void> {
  await reapSandbox(oci, paths)
  // The record goes first: a half-removed sandbox is not listed, and a repeated removal takes the rest.
  await rm(paths.record, { force: true })
  await oci.rights.removeTree(paths.kept)
}

async function describe(paths: SandboxPaths): Promise<SandboxStatus | undefined> {
  const { sessionId } = paths
  if (!(await exists(paths.record))) return undefined
  const run = await readRun(paths)
  if (!run) return { sessionId, state: 'created' }
  const { pid, startedAt } = run
  if (await isAlive(run)) return { sessionId, state: 'running', pid, startedAt }
  const exit = (await observeExit(paths)) ?? (await readExit(paths))
  return { sessionId, state: 'stopped', startedAt, exit }
}

/** Read where everybody may, and where it counts the same without control groups. */
async function usedMs(paths: SandboxPaths): Promise<number> {
  const run = await readRun(paths)
  return run && (await isAlive(run)) ? await familyUsedMs(run.pid) : 0
}

function launchSettings({ config, programsFolder, ...oci }: Oci) {
  const { machine, rights, makeConfig, makePlan } = oci
  return { config: { ...config, programsFolder }, machine, rights, makeConfig, makePlan }
}

function reapSandbox({ config, rights }: Oci, paths: SandboxPaths): Promise<void> {
  return reap({ paths, rights, runtime: config.runtime, runtimeDir: config.runtimeDir })
}

async function isolationOf({ config, machine, rights }: Oci): Promise<IsolationReport> {
  const runtime = config.runtime.split('/').at(-1)
  const isLimited = machine.cgroups.control !== 'none'
  const disk = rights.measureDisk ? 'and process' : 'process and disk'
  const limits = `memory${machine.cgroups.swap ? ' without swap' : ''}, CPU, ${disk} limits by the kernel`
  return {
    level: 'container',
    line: `container: ${runtime}${rights.isolation.line}, own user namespace, seccomp`,
    isLimited,
    holds: [
      'root inside is an unprivileged user of its own outside',
      'own mount, process, network, IPC, host name and control group namespaces',
      'system calls by allow-list, no new privileges, no right that leaves the namespace',
      ...(isLimited ? [limits] : []),
      'no network but loopback; one socket to the gateway leaves',
    ],
    doesNotHold: [
      'a flaw in the kernel, which all sandboxes share with the machine',
      'timing and cache side channels of the processor',
      ...rights.isolation.doesNotHold,
      ...(machine.cgroups.swap || !isLimited
        ? []
        : ['swap is not limited: the kernel does not count it']),
    ],
  }
}
