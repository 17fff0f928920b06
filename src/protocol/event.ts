// The closed set of facts that a session's log is made of. An event is never changed; a reader skips types it does not know.
// `source` says on whose word it stands: what a session claims never changes what the gateway or git has seen.
import { z } from 'zod'
import { environmentFileSchema, environmentSchema, networkPolicySchema } from './environment.ts'
import { sessionIdSchema, turnIdSchema } from './ids.ts'
import {
  additionalRepositorySchema,
  allowScopeSchema,
  answerSchema,
  hookOutcomeSchema,
  modeSchema,
  outwardSchema,
  phaseNameSchema,
  pushGrantsSchema,
  questionSchema,
  repositorySchema,
  turnKindSchema,
} from './session.ts'

/** user: somebody asked for it. claimed: the runner said so. seen: gateway or git saw it. system: Errand itself. */
export const eventSourceSchema = z.enum(['user', 'claimed', 'seen', 'system'])
export type EventSource = z.infer<typeof eventSourceSchema>

const fact = <T extends string, S extends z.ZodRawShape>(type: T, shape: S) =>
  z.object({ type: z.literal(type), ...shape })

const turnId = turnIdSchema
/** The uuid that Claude Code gives to the message; the log is compared with its transcript by it. */
const uuid = z.string().max(100)
const text = z.string()
const generation = z.int()
/** Which of the additional repositories; absent for the main one. */
const repository = z.string().optional()

/** What git and the gateway have seen: recorded as they report it, so that a report of it has the same shape. */
export const seenFacts = [
  fact('push.accepted', {
    repository,
    ref: text,
    commit: text,
    outward: outwardSchema,
    message: text,
  }),
  fact('push.refused', { repository, ref: text, reason: text, message: text }),
  fact('push.forwarded', { repository, commit: text }),
  fact('changes.measured', {
    repository,
    commit: text,
    filesChanged: z.int(),
    insertions: z.int(),
    deletions: z.int(),
  }),
  fact('egress.denied', { host: text, port: z.int(), reason: text }),
  fact('model.used', {
    requestId: text,
    model: text,
    inputTokens: z.int(),
    outputTokens: z.int(),
    cacheReadTokens: z.int(),
    cacheCreationTokens: z.int(),
    costUsd: z.number().nullable(),
    durationMs: z.number(),
  }),
  fact('model.failed', { requestId: text, status: z.int(), reason: text, message: text }),
] as const

export const eventBodySchema = z.discriminatedUnion('type', [
  fact('session.created', {
    ownerId: z.string(),
    title: text,
    repository: repositorySchema,
    additional: z.array(additionalRepositorySchema).optional(),
    environment: environmentSchema,
    driver: z.string(),
    mode: modeSchema,
    model: z.string().nullable(),
  }),
  fact('session.renamed', { title: text }),
  fact('session.archived', {}),
  fact('session.unarchived', {}),
  fact('session.failed', { reason: text, message: text }),
  fact('session.queued', {}),

  fact('message.queued', { turnId, kind: turnKindSchema, text }),
  fact('message.withdrawn', { turnId }),
  fact('turn.started', { turnId }),
  fact('turn.interrupt-requested', { turnId }),
  fact('turn.completed', { turnId, exitCode: z.int().nullable(), durationMs: z.number() }),
  fact('turn.failed', { turnId, reason: text, message: text }),
  fact('turn.interrupted', { turnId }),

  fact('assistant.text', { turnId, uuid, text }),
  fact('assistant.thinking', { turnId, uuid, text }),
  fact('tool.called', {
    turnId,
    uuid,
    toolUseId: text,
    name: text,
    input: z.unknown(),
    parentToolUseId: z.string().nullable().default(null),
  }),
  fact('tool.returned', {
    turnId,
    uuid,
    toolUseId: text,
    output: text,
    isError: z.boolean(),
    truncated: z.boolean().default(false),
  }),
  fact('command.output', { turnId, text }),
  fact('agent.notice', { turnId: turnId.nullable(), kind: text, text }),
  /** A hook of the repository's settings; `name` says its event and what it was matched by. */
  fact('hook.started', { turnId: turnId.nullable(), hookId: text, event: text, name: text }),
  fact('hook.ended', {
    turnId: turnId.nullable(),
    hookId: text,
    outcome: hookOutcomeSchema,
    exitCode: z.int().nullable(),
    durationMs: z.number(),
    output: text,
  }),
  fact('question.asked', { question: questionSchema }),
  fact('question.answered', { questionId: text, answer: answerSchema }),
  fact('question.closed', { questionId: text }),
  fact('mode.changed', { mode: modeSchema }),
  fact('model.changed', { model: z.string().nullable() }),

  fact('sandbox.preparing', { generation, resume: z.boolean() }),
  fact('phase.started', { phase: phaseNameSchema, generation }),
  fact('phase.logged', { phase: phaseNameSchema, generation, lines: z.array(z.string()) }),
  fact('phase.completed', {
    phase: phaseNameSchema,
    generation,
    durationMs: z.number(),
    /** It was done by an earlier preparation, and nothing had to be done again. */
    kept: z.boolean().optional(),
  }),
  fact('phase.failed', {
    phase: phaseNameSchema,
    generation,
    durationMs: z.number(),
    reason: text,
    message: text,
  }),
  /** Begun before it was known what the repository asks for; it begins anew, or is not needed. */
  fact('phase.withdrawn', { phase: phaseNameSchema, generation }),
  fact('repository.resolved', {
    repository,
    /** When it is not the one that the session was made with: that name was taken. */
    branch: text.optional(),
    commit: text,
    baseBranch: text.nullable(),
  }),
  fact('environment.read', environmentFileSchema.shape),
  /** What the session may reach from now on; `scope` says whether its saved environment was changed as well. */
  fact('environment.allowed', { network: networkPolicySchema, scope: allowScopeSchema }),
  /** Somebody has set what the session may reach. */
  fact('network.changed', { network: networkPolicySchema }),
  fact('sandbox.isolated', { isolation: text }),
  fact('sandbox.ready', { generation }),
  fact('sandbox.stopped', { generation, why: z.enum(['user', 'idle', 'archived', 'failed']) }),
  /** Something computes in it though it has no turn, so that it is not put to rest now. */
  fact('sandbox.busy', { generation }),
  fact('sandbox.lost', { generation, reason: text, message: text }),

  /** Kept commits did not get outside. `nextAt`: when it is tried again; null when not by itself. */
  fact('push.forward-failed', {
    repository,
    outward: outwardSchema,
    reason: text,
    message: text,
    nextAt: text.nullable(),
  }),
  fact('push.retry-requested', { repository }),
  /** What the session may push to in that repository from now on, beside its own branch. */
  fact('push.granted', { repository, ...pushGrantsSchema.shape }),

  ...seenFacts,
])
export type EventBody = z.infer<typeof eventBodySchema>
export type EventType = EventBody['type']
export type EventOf<T extends EventType> = Extract<EventBody, { type: T }>

export const eventSchema = z.object({
  sessionId: sessionIdSchema,
  /** Counts from 1 without a gap within a session. */
  seq: z.int().min(1),
  /** ISO 8601, UTC. */
  at: z.string(),
  source: eventSourceSchema,
  body: eventBodySchema,
})
export type SessionEvent = z.infer<typeof eventSchema>

/** Parses a stored or received event; undefined for a type that this version does not know. */
export function parseEvent(value: unknown): SessionEvent | undefined {
  const result = eventSchema.safeParse(value)
  return result.success ? result.data : undefined
}
