// Requests to change a session. `decide` answers each with events and effects, or a refusal.
import { z } from 'zod'
import {
  domainPatternSchema,
  environmentFileTextSchema,
  environmentSchema,
  networkPolicySchema,
} from './environment.ts'
import { seenFacts } from './event.ts'
import { turnIdSchema } from './ids.ts'
import { nameSchema } from './name.ts'
import type { RunnerReport } from './runner-frames.ts'
import {
  additionalRepositorySchema,
  allowScopeSchema,
  answerSchema,
  modeSchema,
  phaseNameSchema,
  promptSchema,
  pushGrantChangeSchema,
  repositorySchema,
  turnKindSchema,
} from './session.ts'

const command = <T extends string, S extends z.ZodRawShape>(type: T, shape: S) =>
  z.object({ type: z.literal(type), ...shape })
const text = z.string()
const generation = z.int()

/** What people ask for, by page, CLI or API. */
export const userCommandSchema = z.discriminatedUnion('type', [
  command('session.create', {
    ownerId: text,
    title: text,
    repository: repositorySchema,
    additional: z.array(additionalRepositorySchema).optional(),
    environment: environmentSchema,
    driver: text,
    mode: modeSchema,
    model: text.nullable(),
    turnId: turnIdSchema,
    kind: turnKindSchema,
    text: promptSchema,
  }),
  command('session.rename', { title: nameSchema(200) }),
  command('session.stop', {}),
  command('session.retry', {}),
  command('session.archive', {}),
  command('session.unarchive', {}),
  command('push.retry', {}),
  command('push.grant', pushGrantChangeSchema.shape),
  command('turn.submit', { turnId: turnIdSchema, kind: turnKindSchema, text: promptSchema }),
  command('message.withdraw', { turnId: turnIdSchema }),
  /** `turnId`: only while this one is worked on; without one, whichever is. */
  command('turn.interrupt', { turnId: turnIdSchema.optional() }),
  command('question.answer', { questionId: text, answer: answerSchema }),
  command('mode.set', { mode: modeSchema }),
  command('model.set', { model: text.nullable() }),
  /** `host`: a pattern to add to what it may reach; without one, what its repository asks for. */
  command('environment.allow', { scope: allowScopeSchema, host: domainPatternSchema.optional() }),
  command('network.set', { network: networkPolicySchema }),
])

/** What the worker, git and the gateway report of the outside. */
export const reportCommandSchema = z.discriminatedUnion('type', [
  command('phase.start', { phase: phaseNameSchema, generation }),
  command('phase.log', { phase: phaseNameSchema, generation, lines: z.array(text) }),
  command('phase.fail', { phase: phaseNameSchema, generation, reason: text, message: text }),
  command('phase.complete', { phase: phaseNameSchema, generation }),
  /** What was begun before it was known what the repository asks for, and is begun anew. */
  command('phase.withdraw', { generation }),
  command('repository.prepared', {
    generation,
    /** The one that was asked for, or with a number when that was taken. */
    branch: text.optional(),
    commit: text,
    baseBranch: text.nullable(),
    /** Of `.errand/environment.yaml` at that commit: cut when it is too long. */
    environmentFile: environmentFileTextSchema.nullish(),
    additional: z
      .array(
        z.object({
          repository: text,
          branch: text.optional(),
          commit: text,
          baseBranch: text.nullable(),
        }),
      )
      .optional(),
  }),
  command('sandbox.started', { generation, isolation: text }),
  command('sandbox.stopped', { generation, why: z.enum(['user', 'idle', 'archived', 'failed']) }),
  command('sandbox.watched', { generation, isWorking: z.boolean() }),
  command('sandbox.lost', { generation, reason: text, message: text }),
  ...seenFacts,
  command('session.admit', {}),
  /** `attempt` counts from 0; `passes`: the same push may well succeed later. */
  command('push.forward-fail', {
    repository: text.optional(),
    attempt: z.int(),
    passes: z.boolean(),
    reason: text,
    message: text,
  }),
  command('clock.tick', {}),
])

export type UserCommand = z.infer<typeof userCommandSchema>
export type ReportCommand = z.infer<typeof reportCommandSchema>
/** A frame of the runner: a claim. */
export interface RunnerCommand {
  type: 'runner.report'
  report: RunnerReport
}
export type Command = UserCommand | ReportCommand | RunnerCommand
