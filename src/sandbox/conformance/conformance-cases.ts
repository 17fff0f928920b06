// What the cases of the conformance suite share: the harness that a driver brings, and sandboxes to try things in.
import { randomBytes } from 'node:crypto'
import { createId } from '../../protocol/ids.ts'
import type { SandboxDriver, SandboxStatus } from '../driver.ts'
import type { SandboxSpec } from '../spec.ts'
import { type Guest, openDoor } from './conformance-guest.ts'

export interface ConformanceHarness {
  doorsDir: string
  /** A folder below which images may lie. */
  imagesDir: string
  /** Changes after a crash. */
  driver(): SandboxDriver
  /** Ends whatever drives the sandboxes without notice, and starts it again. */
  crash(): Promise<void>
  /** Everything that is left of a session anywhere on the machine. */
  leftovers(sessionId: string): Promise<string[]>
  close(): Promise<void>
}

export interface Sandbox {
  sessionId: string
  guest: Guest
}

export interface Cases {
  harness(): ConformanceHarness
  /** A started sandbox that is removed after the test. */
  start(change?: Partial<SandboxSpec>): Promise<Sandbox>
  /** Why the kernel keeps no limits of this kind here, where it does not. */
  without: { controlGroups?: string; disk?: string }
  /** A started sandbox that several tests share. */
  shared(): Sandbox
}

const MIB = 1 << 20

export function newSpec(change: Partial<SandboxSpec> = {}): SandboxSpec {
  return {
    sessionId: createId('session', randomBytes(20)),
    image: { kind: 'host' },
    layers: [],
    limits: { memoryBytes: 512 * MIB, cpus: 1, processes: 128, diskBytes: 256 * MIB },
    sessionFile: '{"made":"by the test"}',
    beforeRunner: '',
    hostname: 'sandbox-test',
    ...change,
  }
}

export async function startSandbox(
  harness: ConformanceHarness,
  spec: SandboxSpec,
): Promise<Sandbox> {
  const guest = await openDoor(harness.doorsDir, spec.sessionId)
  await harness.driver().create(spec)
  await harness.driver().start(spec.sessionId)
  await guest.connected()
  return { sessionId: spec.sessionId, guest }
}

export async function endSandbox(harness: ConformanceHarness, { sessionId, guest }: Sandbox) {
  await guest.close()
  await harness.driver().remove(sessionId)
}

export async function statusOf(
  harness: ConformanceHarness,
  sessionId: string,
): Promise<SandboxStatus | undefined> {
  return (await harness.driver().list()).find((status) => status.sessionId === sessionId)
}
