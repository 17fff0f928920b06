// How the worker's effects reach the other programs: git through gitd, sandboxes through sandboxd.

import type { GitClient } from './git/client.ts'
import type { PrepareRequest } from './git/messages.ts'
import type { UpstreamCredential } from './git/upstream/credential.ts'
import { isCommitId } from './git/upstream/repository-url.ts'
import { delay } from './lib/deadline.ts'
import type { Diff } from './protocol/api.ts'
import { AppError, toAppError } from './protocol/errors.ts'
import type { ModelInside } from './protocol/model-endpoint.ts'
import type { RunnerBoot } from './protocol/runner-frames.ts'
import {
  CREDENTIAL_WANTED,
  grantsOf,
  type Repository,
  repositoryOf,
  type SessionState,
} from './protocol/session.ts'
import type { AgentStart } from './runner/agent/agent-start.ts'
import { beforeRunner } from './runner/agent/ahead-script.ts'
import { isolationLine, type SandboxDriver, type SandboxStatus } from './sandbox/driver.ts'
import type { SandboxSpec } from './sandbox/spec.ts'
import type { Hold, RepositoryPort, SandboxPort } from './sessions/effects.ts'
import type { LayerEnvironment, LayerSandboxes } from './sessions/layers/layer-making.ts'
import type { StartGate } from './sessions/start-gate.ts'

export type FindCredential = (
  ownerId: string,
  repository: Repository,
) => Promise<UpstreamCredential | undefined>

/** No patch is needed to count lines. */
const COUNT_ONLY_BYTES = 1

export function createRepositoryPort(
  git: GitClient,
  findCredential: FindCredential,
): RepositoryPort {
  return {
    prepare: async ({ sessionId, ownerId, repository, additional }, signal, onProgress) => {
      const credential = await findCredential(ownerId, repository)
      const { branch, baseBranch } = repository
      const from =
        baseBranch !== null && isCommitId(baseBranch) ? { commit: baseBranch } : { baseBranch }
      const source = sourceOf(repository, credential)
      const which = { sessionId, repository: additional?.name, access: additional?.access }
      const prepared = await git.prepareSession(
        { ...which, ownerId, source, branch, orNumbered: true, ...from },
        { signal, onProgress },
      )
      const { commit, baseBranch: foundBranch, environmentFile } = prepared
      return { branch: prepared.branch, commit, baseBranch: foundBranch, environmentFile }
    },
    measure: async (which, signal) => {
      const diff = await git.diff({ ...which, maxBytes: COUNT_ONLY_BYTES }, { signal })
      const { filesChanged, insertions, deletions } = diff
      return { commit: diff.commit ?? diff.base, filesChanged, insertions, deletions }
    },
    forward: async ({ state, repository }, signal) => {
      const place = repositoryOf(state, repository)
      const credential = place && (await findCredential(state.ownerId, place))
      const rewrite = place !== undefined && grantsOf(state, place)?.rewrite === true
      const { outward, commit, reason, message } = await git.forward(
        { sessionId: state.id, repository, credential, rewrite },
        { signal },
      )
      if (outward === 'forwarded' && commit) return { commit }
      // What the forge refuses, or a credential is wanted for, does not pass by itself.
      const waits = outward === 'refused' || CREDENTIAL_WANTED.has(reason ?? '')
      const code = waits ? 'forbidden' : 'unavailable'
      throw new AppError(
        code,
        reason ?? 'not_forwarded',
        message || 'There is nothing to push outward.',
      )
    },
    remove: (sessionId, signal) => git.removeSession(sessionId, { signal }),
  }
}

/** The diff as the API shows it: everything from the commit that the session started from to its branch. */
export async function readDiff(
  git: GitClient,
  which: { sessionId: string; repository?: string | undefined },
): Promise<Diff> {
  const { base, commit, files, insertions, deletions, commits, patch, truncated } =
    await git.diff(which)
  return {
    base,
    head: commit ?? base,
    files: files.map(({ path, from, status, binary, ...counts }) => ({
      path,
      oldPath: from,
      status: status === 'copied' ? 'added' : status === 'type-changed' ? 'modified' : status,
      binary,
      ...counts,
    })),
    insertions,
    deletions,
    commits,
    patch,
    truncated,
  }
}

const WORTH_TELLING_MS = 1_000
/** Runner and agent that wait use far less than this share of a processor, and what works at all soon more. */
const WATCHED_MS = 10_000
const WORKING_SHARE = 0.03
/** Nothing runs there any more but the runner. */
const LAYER_GRACE_MS = 2_000

/** Without its disk or its record a sandbox cannot be started; what it had saved lies in the session's repository. */
const LOST = new Set(['disk_missing', 'disk_damaged', 'record_damaged'])
/** Without these it can be made, or from others. */
const UNUSABLE_LAYERS = new Set(['layer_missing', 'layers_differ'])

/** What every sandbox is told. */
export interface Told {
  model: ModelInside
  /** How its agent is started. */
  agentStart: AgentStart
}

export function createSandboxPort(
  driver: SandboxDriver,
  told: Told,
  gate: Pick<StartGate, 'isFull' | 'enter' | 'leave'>,
): SandboxPort {
  const start = async (
    { layers, ...state }: SessionState & { layers: string[] },
    hold: Hold,
    onLine: (line: string) => void,
    door: Promise<void>,
  ) => {
    const { signal } = hold
    await hold.assertHeld()
    await slowly(onLine, 'Making the disk and the image of the sandbox …', () =>
      driver.create(specOf({ ...state, layers }, told, agentOf(state)), signal),
    )
    // Whoever has taken over runs this sandbox already.
    await hold.assertHeld()
    // The runner of an earlier preparation would not prepare again; that of the first one may have been started ahead.
    if (state.sandbox.generation > 1)
      await slowly(onLine, 'Ending what an earlier preparation left …', () =>
        driver.stop(state.id, { graceMs: 0 }, signal),
      )
    await door
    await hold.assertHeld()
    await slowly(onLine, 'Starting the sandbox …', () => driver.start(state.id, signal))
    return isolationLine(await driver.isolation(), state.environment.limits)
  }
  const startOrAnew: SandboxPort['start'] = async (state, hold, onLine, { first, anew, door }) => {
    try {
      return await start({ ...state, layers: first }, hold, onLine, door)
    } catch (error) {
      const { reason, message } = toAppError(error)
      if (!LOST.has(reason) && !UNUSABLE_LAYERS.has(reason)) throw error
      onLine(`${message} (${reason}): the sandbox is made anew.`)
      await hold.assertHeld()
      await driver.remove(state.id, hold.signal)
      return await start({ ...state, layers: await anew() }, hold, onLine, door)
    }
  }
  return {
    start: async (state, hold, onLine, from) => {
      // One that was started ahead has nothing to wait for.
      if (!gate.isFull() || !(await isRunning(driver, state.id)))
        await slowly(onLine, 'Waiting for other sandboxes that are being started …', () =>
          gate.enter(state.id, hold.signal),
        )
      try {
        return await startOrAnew(state, hold, onLine, from)
      } catch (error) {
        gate.leave(state.id)
        throw error
      }
    },
    startAhead: async ({ hasAgent, ...session }, signal) => {
      const agent = hasAgent ? 'ahead' : 'needed'
      await driver.create(specOf(session, told, agent), signal)
      await driver.start(session.id, signal)
    },
    hasImage: async (image) => {
      try {
        await driver.identify(image)
        return true
      } catch (error) {
        if (toAppError(error).code === 'not_found') return false
        throw error
      }
    },
    has: async (sessionId) => (await driver.list()).some((one) => one.sessionId === sessionId),
    isWorking: (sessionId, signal) => isWorking(driver, sessionId, signal),
    stop: ({ id }, graceMs, signal) => driver.stop(id, { graceMs }, signal),
    remove: (sessionId, signal) => driver.remove(sessionId, signal),
    list: async () =>
      (await driver.list()).map((status) => ({
        sessionId: status.sessionId,
        running: status.state === 'running',
        message: endOf(status),
      })),
  }
}

async function isWorking(driver: SandboxDriver, id: string, signal: AbortSignal): Promise<boolean> {
  const before = await driver.usedMs(id)
  await delay(WATCHED_MS, signal)
  return (await driver.usedMs(id)) - before > WATCHED_MS * WORKING_SHARE
}

async function isRunning(driver: SandboxDriver, id: string): Promise<boolean> {
  const all = await driver.list()
  return all.some(({ sessionId, state }) => sessionId === id && state === 'running')
}

/** What is done at once needs no line in the log; what takes long says what it is, and then how long it took. */
async function slowly<T>(
  onLine: (line: string) => void,
  what: string,
  work: () => Promise<T>,
): Promise<T> {
  const startedAt = performance.now()
  let isTold = false
  const timer = setTimeout(() => {
    isTold = true
    onLine(what)
  }, WORTH_TELLING_MS)
  try {
    return await work()
  } finally {
    clearTimeout(timer)
    const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1)
    if (isTold) onLine(`${what} ended after ${seconds} s`)
  }
}

/** The sandboxes that layers are made of. */
export function createLayerSandboxes(driver: SandboxDriver, port: SandboxPort): LayerSandboxes {
  return {
    identify: driver.identify,
    startLayer: async ({ sandboxId: id, environment }, signal) => {
      const boot: RunnerBoot = { sessionId: id, variables: environment.variables, purpose: 'layer' }
      await driver.create(sandboxOf({ id, environment, layers: [] }, boot, ''), signal)
      await driver.start(id, signal)
    },
    keepLayer: async (sandboxId, layerId) => {
      await driver.stop(sandboxId, { graceMs: LAYER_GRACE_MS })
      return (await driver.keepLayer(sandboxId, layerId)).bytes
    },
    hasLayer: async (layerId) => (await driver.listLayers()).some((one) => one.layerId === layerId),
    remove: port.remove,
    list: port.list,
  }
}

interface Wanted {
  id: string
  environment: LayerEnvironment
  layers: string[]
}

function specOf(wanted: Wanted, { model, agentStart }: Told, agent: RunnerBoot['agent']) {
  const { id, environment } = wanted
  const boot: RunnerBoot = { sessionId: id, variables: environment.variables, model, agent }
  return sandboxOf(wanted, boot, beforeRunner(boot, agentStart, new Date()))
}

function sandboxOf(
  { id, environment, layers }: Wanted,
  boot: RunnerBoot,
  script: string,
): SandboxSpec {
  return {
    sessionId: id,
    image: environment.image,
    layers,
    limits: environment.limits,
    sessionFile: JSON.stringify(boot),
    beforeRunner: script,
    hostname: `errand-${id.slice(2, 8)}`,
  }
}

/** A session that begins with a command may never need one. */
function agentOf({ turn }: Pick<SessionState, 'turn'>): RunnerBoot['agent'] {
  return turn?.kind === 'command' ? 'needed' : 'ahead'
}

function endOf({ exit }: SandboxStatus): string {
  if (exit?.outOfDisk) return 'The files of the sandbox took more disk than it may have.'
  if (exit?.outOfMemory) return 'The sandbox ran out of memory.'
  if (exit?.signal) return `The sandbox was ended by ${exit.signal}.`
  return `The sandbox ended by itself${exit?.code === undefined ? '' : ` with exit code ${exit.code}`}.`
}

function sourceOf(
  { source }: Repository,
  credential: UpstreamCredential | undefined,
): PrepareRequest['source'] {
  switch (source.kind) {
    case 'remote':
      return { kind: 'remote', url: source.url, credential }
    case 'upload':
      return { kind: 'upload', uploadId: source.uploadId, name: source.name }
    case 'session':
      return { kind: 'session', sessionId: source.sessionId }
  }
}
