// The interface that every kind of sandbox implements, in sandboxd and as its client. Every verb may be repeated: asking
// for what is the case already is no error. Failures are AppErrors with a reason.
import { z } from 'zod'
import { layerIdSchema, sessionIdSchema } from '../protocol/ids.ts'
import type { SandboxImage, SandboxLimits, SandboxSpec } from './spec.ts'

export const isolationReportSchema = z.object({
  level: z.enum(['process', 'container', 'vm']),
  /** One line for people, without the limits of a session: see isolationLine. */
  line: z.string(),
  /** Whether memory, processor time and processes are limited. */
  isLimited: z.boolean(),
  /** What the boundary enforces here, and what it does not. */
  holds: z.array(z.string()),
  doesNotHold: z.array(z.string()),
})
export type IsolationReport = z.infer<typeof isolationReportSchema>

export const sandboxExitSchema = z.object({
  code: z.int().optional(),
  signal: z.string().optional(),
  /** The runner itself was ended because the sandbox had used its memory up. */
  outOfMemory: z.boolean(),
  /** It was ended because its files took more than it may have; only where no file system says so first. */
  outOfDisk: z.boolean().optional(),
})
export type SandboxExit = z.infer<typeof sandboxExitSchema>

export const sandboxStatusSchema = z.object({
  sessionId: sessionIdSchema,
  state: z.enum(['created', 'running', 'stopped']),
  /** Process 1 as the host sees it. */
  pid: z.int().optional(),
  startedAt: z.iso.datetime().optional(),
  /** How the last run ended, where that was seen: not after a crash of the machine. */
  exit: sandboxExitSchema.optional(),
})
export type SandboxStatus = z.infer<typeof sandboxStatusSchema>

export const sandboxUseSchema = z.object({ usedMs: z.number() })

export const keptLayerSchema = z.object({
  layerId: layerIdSchema,
  /** What it takes on the disk of the host. */
  bytes: z.int(),
})
export type KeptLayer = z.infer<typeof keptLayerSchema>

interface StopOptions {
  /** How long process 1 may take after SIGTERM until everything gets SIGKILL. */
  graceMs: number
}
export const MAX_GRACE_MS = 8000

export interface SandboxDriver {
  readonly kind: string
  isolation(): Promise<IsolationReport>
  create(spec: SandboxSpec, signal?: AbortSignal): Promise<void>
  /** Resolves when process 1 runs. Files of an earlier run are still there. */
  start(sessionId: string, signal?: AbortSignal): Promise<void>
  /** Resolves when nothing of it runs and nothing is mounted any more; its files stay. */
  stop(sessionId: string, options: StopOptions, signal?: AbortSignal): Promise<void>
  list(): Promise<SandboxStatus[]>
  /** Milliseconds of processor time that all in it has used since it was started; 0 where it does not run. */
  usedMs(sessionId: string): Promise<number>
  /**
   * Stops without grace and deletes everything; works on half-made and unknown ones too. Like `stop` it ends a `create` or
   * `start` of the same session that is under way. The signal of the two ends the waiting, not the work.
   */
  remove(sessionId: string, signal?: AbortSignal): Promise<void>
  /** Tells one state of an image from another: what a layer that was made over it depends on. */
  identify(image: SandboxImage): Promise<string>
  /**
   * Makes a layer of what was written in a sandbox that has stopped: its disk goes over, so that nothing but its removal
   * is left for it.
   */
  keepLayer(sessionId: string, layerId: string): Promise<KeptLayer>
  listLayers(): Promise<KeptLayer[]>
  /** Refused with `layer_in_use` while a sandbox is made from it. */
  removeLayer(layerId: string): Promise<void>
}

/** "container: runc, own user namespace, seccomp, 4 GiB, 2 CPUs" */
export function isolationLine(report: IsolationReport, limits: SandboxLimits): string {
  if (!report.isLimited) return `${report.line}, no limits`
  const gib = Math.round((limits.memoryBytes / 2 ** 30) * 10) / 10
  return `${report.line}, ${gib} GiB, ${limits.cpus} CPU${limits.cpus === 1 ? '' : 's'}`
}
