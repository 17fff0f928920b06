// Real sandboxes of the suite: the driver in this process, process 1 of each one a guest that runs scripts for the test, and
// the configuration of the container as the driver makes it or as a case changes it.
import { randomBytes } from 'node:crypto'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { SANDBOX_PATHS } from '../../src/protocol/network.ts'
import { newSpec } from '../../src/sandbox/conformance/conformance-cases.ts'
import {
  type Guest,
  guestProgram,
  openDoor,
} from '../../src/sandbox/conformance/conformance-guest.ts'
import type { SandboxDriver } from '../../src/sandbox/driver.ts'
import { createOciDriver } from '../../src/sandbox/oci/oci.ts'
import { type OciConfigInput, ociConfig } from '../../src/sandbox/oci/oci-config.ts'
import { launchPlan } from '../../src/sandbox/oci/oci-launch.ts'
import type { SandboxSpec } from '../../src/sandbox/spec.ts'
import { requireOwnNetwork } from './own-network.ts'

export type ContainerConfig = ReturnType<typeof ociConfig>
/** May change what it is given; answers with the configuration that the container gets. */
export type ChangeConfig = (config: ContainerConfig, input: OciConfigInput) => ContainerConfig
/** Answers with what launch.pl does for the container. */
export type ChangePlan = (plan: string[][]) => string[][]

export interface AttackSandbox {
  sessionId: string
  /** What a script printed, on either stream. */
  run(script: string): Promise<string>
  remove(): Promise<void>
}

/** Runs the script of a case in a sandbox of its own, which is gone afterwards. */
export async function runOnce(starting: Promise<AttackSandbox>, script: string): Promise<string> {
  const sandbox = await starting
  try {
    return await sandbox.run(script)
  } finally {
    await sandbox.remove()
  }
}

interface StartOptions {
  spec?: Partial<SandboxSpec>
  change?: ChangeConfig
  changePlan?: ChangePlan | undefined
}

export interface Sandboxes {
  doorsDir: string
  driver: SandboxDriver
  /** A folder of the test that passes for one of the host. */
  hostDir: string
  start(options?: StartOptions): Promise<AttackSandbox>
  close(): Promise<void>
}

/** In the folder of the door, beside the real one. */
const GUEST_SOCKET = 'guest.sock'

type DriverConfig = Parameters<typeof createOciDriver>[0]

/** The driver is in this process, unless another one is made. */
export async function openSandboxes(
  makeDriver?: (config: DriverConfig) => Promise<SandboxDriver>,
): Promise<Sandboxes> {
  requireOwnNetwork()
  const top = await mkdtemp(join(tmpdir(), 'errand-attack-'))
  const runtimeDir = await mkdtemp('/run/errand-attack-')
  const doorsDir = join(runtimeDir, 'doors')
  const hostDir = await mkdtemp(join('/var/tmp', 'errand-attack-host-'))
  const runner = join(top, 'runner')
  const agent = join(top, 'agent')
  await mkdir(runner)
  await mkdir(doorsDir)
  const guest = guestProgram(`${SANDBOX_PATHS.door}/${GUEST_SOCKET}`)
  const program = join(runner, basename(SANDBOX_PATHS.runner))
  await writeFile(program, guest)
  // Only how it is mounted keeps a sandbox from changing it.
  await chmod(program, 0o666)
  await writeFile(agent, '#!/bin/sh\n', { mode: 0o755 })
  const changes = new Map<string, Omit<StartOptions, 'spec'>>()
  const config: DriverConfig = {
    ...{ dataDir: join(top, 'data'), runtimeDir, doorsDir, runtime: 'runc' },
    programs: { node: process.execPath, runner, agent },
    ...{ tools: {}, rootfsDirs: [], extraCaFiles: [], homeDir: '/root' },
    ...{ ownerShift: 'auto', allowUnlimited: false },
  }
  const makeHere = () =>
    createOciDriver(
      config,
      (what, error) => process.stderr.write(`${what}: ${String(error)}\n`),
      (input) => (changes.get(input.spec.sessionId)?.change ?? unchanged)(ociConfig(input), input),
      (context) => {
        const plan = launchPlan(context)
        return changes.get(context.paths.sessionId)?.changePlan?.(plan) ?? plan
      },
    )
  const driver = await (makeDriver ?? makeHere)(config)
  return {
    ...{ doorsDir, driver, hostDir },
    start: async ({ spec = {}, change = unchanged, changePlan } = {}) => {
      const full = newSpec({ limits: LIMITS, ...spec })
      changes.set(full.sessionId, { change, changePlan })
      return startOne(driver, doorsDir, full)
    },
    close: async () => {
      await endLeftovers(top)
      for (const folder of [top, runtimeDir, hostDir])
        await rm(folder, { recursive: true, force: true })
    },
  }
}

/** What ran without a process namespace of its own is not taken along by the end of process 1. */
async function endLeftovers(top: string): Promise<void> {
  for (const name of await readdir('/proc')) {
    const mounts = await readFile(join('/proc', name, 'mountinfo'), 'utf8').catch(() => '')
    if (!mounts.includes(`lowerdir=${top}/`)) continue
    const { uid } = await stat(join('/proc', name))
    if (uid >= FIRST_UID_INSIDE) process.kill(Number(name), 'SIGKILL')
  }
}

/** Users of the machine have smaller numbers. */
const FIRST_UID_INSIDE = 65_536
const MIB = 1 << 20
const LIMITS = { memoryBytes: 384 * MIB, cpus: 2, processes: 128, diskBytes: 128 * MIB }

const unchanged: ChangeConfig = (config) => config

async function startOne(
  driver: SandboxDriver,
  doorsDir: string,
  spec: SandboxSpec,
): Promise<AttackSandbox> {
  const { sessionId } = spec
  const guest: Guest = await openDoor(doorsDir, sessionId, GUEST_SOCKET)
  await driver.create(spec)
  await driver.start(sessionId)
  await guest.connected()
  return {
    sessionId,
    run: async (script) => {
      const { stdout, stderr } = await guest.sh(script)
      return stdout + stderr
    },
    remove: async () => {
      await guest.close()
      await driver.remove(sessionId)
    },
  }
}

export function newSecret(): string {
  return `canary-${randomBytes(12).toString('hex')}`
}
