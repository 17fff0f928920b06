// What runner and gateway say to each other: newline-delimited JSON on the upgraded `GET /runner` of the session's socket.
// Runner to gateway: journaled reports carry `n` and are acknowledged; deltas and pings are not. All of it is a claim.
// Gateway to runner: `directives` are the whole of what is wanted now, sent again at every change and reconnect.
import { z } from 'zod'
import { turnIdSchema } from './ids.ts'
import { modelInsideSchema } from './model-endpoint.ts'
import {
  accessSchema,
  answerSchema,
  hookOutcomeSchema,
  modeSchema,
  phaseNameSchema,
  questionSchema,
  turnKindSchema,
} from './session.ts'

export const RUNNER_PROTOCOL = 2
export const RUNNER_UPGRADE = 'errand-runner'
/** Of one line of the runner. */
export const MAX_FRAME_BYTES = 1 << 20
/** Of one line of the gateway, which may hold a long prompt and what people answered. */
export const MAX_GATEWAY_FRAME_BYTES = 8 << 20
/** Longer tool output is cut by the runner, keeping both ends. */
export const MAX_OUTPUT_CHARS = 100_000

const report = <T extends string, S extends z.ZodRawShape>(type: T, shape: S) =>
  z.object({ type: z.literal(type), ...shape })
const text = z.string().max(400_000)
const short = z.string().max(4_000)
const turnId = turnIdSchema
const uuid = z.string().max(100)

export const runnerReportSchema = z.discriminatedUnion('type', [
  report('phase.started', { phase: phaseNameSchema, generation: z.int() }),
  report('phase.logged', {
    phase: phaseNameSchema,
    generation: z.int(),
    lines: z.array(z.string().max(2_000)).max(200),
  }),
  report('phase.completed', {
    phase: phaseNameSchema,
    generation: z.int(),
    durationMs: z.number().min(0),
    /** Done by an earlier preparation already. */
    kept: z.boolean().optional(),
  }),
  report('phase.failed', {
    phase: phaseNameSchema,
    generation: z.int(),
    durationMs: z.number().min(0),
    reason: short,
    message: text,
  }),
  report('runner.ready', { generation: z.int() }),
  /** What becomes a layer is made: of a setup script its exit code, null when it was ended at its limit. */
  report('setup.ended', { exitCode: z.int().nullable() }),
  report('turn.accepted', { turnId }),
  report('turn.completed', { turnId, exitCode: z.int().nullable(), durationMs: z.number().min(0) }),
  report('turn.failed', { turnId, reason: short, message: text }),
  report('turn.interrupted', { turnId }),
  report('assistant.text', { turnId, uuid, text }),
  report('assistant.thinking', { turnId, uuid, text }),
  report('tool.called', {
    turnId,
    uuid,
    toolUseId: short,
    name: short,
    input: z.unknown(),
    parentToolUseId: short.nullable().default(null),
  }),
  report('tool.returned', {
    turnId,
    uuid,
    toolUseId: short,
    output: text,
    isError: z.boolean(),
    truncated: z.boolean(),
  }),
  report('command.output', { turnId, text }),
  report('agent.notice', { turnId: turnId.nullable(), kind: short, text }),
  report('hook.started', { turnId: turnId.nullable(), hookId: short, event: short, name: short }),
  report('hook.ended', {
    turnId: turnId.nullable(),
    hookId: short,
    outcome: hookOutcomeSchema,
    exitCode: z.int().nullable(),
    durationMs: z.number().min(0),
    output: text,
  }),
  report('question.asked', { question: questionSchema }),
  report('question.closed', { questionId: short }),
])
export type RunnerReport = z.infer<typeof runnerReportSchema>

/** What the runner sends, one object a line. */
export const runnerFrameSchema = z.union([
  z.object({ type: z.literal('hello'), protocol: z.int(), lastN: z.int().min(0) }),
  z.object({ type: z.literal('report'), n: z.int().min(1), report: runnerReportSchema }),
  z.object({ type: z.literal('delta'), turnId, text: z.string().max(64_000) }),
  /** After `wait`: nothing but a repository is needed. Its agent is started, where it starts one ahead. */
  z.object({ type: z.literal('parked') }),
  z.object({ type: z.literal('ping') }),
])
export type RunnerFrame = z.infer<typeof runnerFrameSchema>

/** All that the runner is to do now. It reconciles: the same directives twice change nothing. */
export const directivesSchema = z.object({
  turn: z
    .object({ id: turnIdSchema, kind: turnKindSchema, text: z.string(), interrupt: z.boolean() })
    .nullable(),
  mode: modeSchema,
  model: z.string().nullable(),
  answers: z.record(z.string(), answerSchema),
})
export type Directives = z.infer<typeof directivesSchema>

const assignedRepositorySchema = z.object({
  name: z.string(),
  url: z.string(),
  commit: z.string(),
  branch: z.string(),
  baseBranch: z.string().nullable(),
})
const assignedAdditionalSchema = assignedRepositorySchema.extend({ access: accessSchema })
export type AssignedAdditional = z.infer<typeof assignedAdditionalSchema>

/** Work on a repository. Holds nothing secret. */
const workAssignmentSchema = z.object({
  kind: z.literal('work'),
  repository: assignedRepositorySchema,
  /** Beside the main one, each in a folder of its own. */
  additional: z.array(assignedAdditionalSchema).optional(),
  /** Asked for by the repository, and placeholders of credentials: set where the environment sets none. */
  repositoryVariables: z.record(z.string(), z.string()).optional(),
  /** Who commits. */
  identity: z.object({ name: z.string(), email: z.string() }),
  /** Link shown to the agent, for commit trailers and answers; null when the page has no public address. */
  sessionUrl: z.string().nullable(),
})
export type WorkAssignment = z.infer<typeof workAssignmentSchema>

/** A setup script, in a sandbox that becomes a layer. Its inputs are at SETUP_INPUTS_PATH of the door. */
const setupAssignmentSchema = z.object({
  kind: z.literal('setup'),
  script: z.string(),
  /** Placeholders of credentials: set where the environment sets none. */
  variables: z.record(z.string(), z.string()).optional(),
  limitMs: z.int(),
})
export type SetupAssignment = z.infer<typeof setupAssignmentSchema>

/** The work tree of a commit, in a sandbox that becomes a layer. */
const checkoutAssignmentSchema = z.object({
  kind: z.literal('checkout'),
  /** Folder of the work tree. */
  name: z.string(),
  commit: z.string(),
  limitMs: z.int(),
})
export type CheckoutAssignment = z.infer<typeof checkoutAssignmentSchema>

export const SETUP_INPUTS_PATH = '/setup/inputs'
export const setupInputFilesSchema = z.object({
  /** `data` in base64. */
  files: z.array(z.object({ path: z.string(), data: z.string() })),
})

/** What a runner is to do. */
export const assignmentSchema = z.discriminatedUnion('kind', [
  workAssignmentSchema,
  setupAssignmentSchema,
  checkoutAssignmentSchema,
])
export type Assignment = z.infer<typeof assignmentSchema>

/** What the gateway sends, one object a line. */
export const gatewayFrameSchema = z.discriminatedUnion('type', [
  /**
   * Answers `hello` when there is no repository to work on yet; `welcome` follows. `agent`: the session that is to be begins
   * with one. Said again once that is known.
   */
  z.object({ type: z.literal('wait'), agent: z.boolean() }),
  /** Answers `hello`: the journal may be dropped up to `ackedN`; reports about phases carry `generation`. */
  z.object({
    type: z.literal('welcome'),
    protocol: z.int(),
    ackedN: z.int().min(0),
    generation: z.int(),
    assignment: assignmentSchema,
  }),
  z.object({ type: z.literal('ack'), n: z.int() }),
  z.object({ type: z.literal('refused'), n: z.int().nullable(), reason: z.string() }),
  z.object({ type: z.literal('directives'), directives: directivesSchema }),
  z.object({ type: z.literal('pong') }),
])
export type GatewayFrame = z.infer<typeof gatewayFrameSchema>

/** The file SANDBOX_PATHS.session: what a runner knows before it has a repository. Holds nothing secret. */
export const runnerBootSchema = z.object({
  sessionId: z.string(),
  variables: z.record(z.string(), z.string()),
  /** `layer`: what is written there is kept for others, so that nothing of the runner may be in it. A session unless told. */
  purpose: z.enum(['session', 'layer']).optional(),
  /** `needed`: none is started before it is known to be needed. `ahead`, at once, unless told. */
  agent: z.enum(['ahead', 'needed']).optional(),
  /** The Messages API unless told. */
  model: modelInsideSchema.optional(),
})
export type RunnerBoot = z.infer<typeof runnerBootSchema>
export type RunnerSetup = Pick<RunnerBoot, 'sessionId' | 'variables'> & Omit<WorkAssignment, 'kind'>
