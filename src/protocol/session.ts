// The state of a session as `applyEvent` builds it: what `decide` rules on and what lists and headers show.
// Two axes: the session itself (`status`) and its sandbox (`sandbox.state`).
import { z } from 'zod'
import { branchNameSchema } from './branch-name.ts'
import { environmentFileSchema, environmentSchema } from './environment.ts'
import { credentialIdSchema, sessionIdSchema, turnIdSchema, uploadIdSchema } from './ids.ts'

export const SESSION_STATUSES = [
  'queued',
  'working',
  'waiting',
  'idle',
  'failed',
  'archived',
] as const
export const SANDBOX_STATES = ['none', 'preparing', 'ready', 'stopped', 'lost'] as const

/**
 * The phases of a preparation, in the order that they are shown in; `fetch` runs beside `environment` (only where there is a
 * setup script) and `sandbox`. Each has a limit, a log, a duration and, when it failed, a reason.
 */
export const PHASES = ['fetch', 'environment', 'sandbox', 'checkout', 'agent'] as const
export const phaseNameSchema = z.enum(PHASES)
export type PhaseName = z.infer<typeof phaseNameSchema>
export const PHASE_LIMITS_MS: Record<PhaseName, number> = {
  fetch: 600_000,
  environment: 600_000,
  sandbox: 60_000,
  checkout: 600_000,
  agent: 120_000,
}

/**
 * One of the same name is replaced. What begins before the checkout is put in its order, later ones come as they begin: in
 * the logs of version 0.1.0 `environment` came after it.
 */
export function withPhase<T extends { name: PhaseName }>(phases: readonly T[], phase: T): T[] {
  if (phases.some(({ name }) => name === phase.name))
    return phases.map((one) => (one.name === phase.name ? phase : one))
  const all = [...phases, phase]
  if (phases.some(({ name }) => name === 'checkout')) return all
  const place = ({ name }: T) => PHASES.indexOf(name)
  return all.sort((a, b) => place(a) - place(b))
}

/** How many of the last lines of a phase's log the state keeps; the log itself has all. */
export const LOG_LINES_KEPT = 50

export const phaseSchema = z.object({
  name: phaseNameSchema,
  state: z.enum(['running', 'completed', 'failed']),
  startedAt: z.string(),
  durationMs: z.number().nullable(),
  /** Completed by an earlier preparation: nothing had to be done again. */
  kept: z.boolean().default(false),
  /** The last lines of its log. */
  log: z.array(z.string()),
  reason: z.string().nullable(),
  message: z.string().nullable(),
})
export type Phase = z.infer<typeof phaseSchema>

export const modeSchema = z.enum(['work', 'ask', 'plan'])
export type Mode = z.infer<typeof modeSchema>

/** A prompt or a command line as a person writes it. */
export const promptSchema = z.string().trim().min(1).max(200_000)

/** `agent`: the text is a prompt. `command`: the text is a shell command that runs in the checkout without the agent. */
export const turnKindSchema = z.enum(['agent', 'command'])

/** Where the work comes from. `upload` is what the CLI pushed from a disk, `session` another session's branch. */
export const sourceSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('remote'),
    url: z.string().min(1).max(2048),
    credentialId: credentialIdSchema.nullable().default(null),
  }),
  z.object({
    kind: z.literal('upload'),
    uploadId: uploadIdSchema,
    name: z.string().min(1).max(100),
    origin: z.string().max(2048).nullable().default(null),
  }),
  z.object({ kind: z.literal('session'), sessionId: sessionIdSchema }),
])
export type Source = z.infer<typeof sourceSchema>

export const repositorySchema = z.object({
  source: sourceSchema,
  /** Folder name of the checkout. */
  name: z.string(),
  /** What `git config remote.origin.url` says inside; no credential in it. */
  url: z.string(),
  /** Asked for; the default branch of the source when null. */
  baseBranch: z.string().nullable(),
  /** The commit that the session starts from; null until it is known. */
  commit: z.string().nullable(),
  /** The branch that the session may push to; further ones are granted. */
  branch: z.string(),
})
export type Repository = z.infer<typeof repositorySchema>

/** What the owner allows a session's pushes to one of its repositories, beyond its own branch there. */
export const pushGrantsSchema = z.object({
  /** Each is exactly that branch, never a pattern. */
  branches: z.array(branchNameSchema).max(50),
  /** The session's own branch may be rewritten; never another one. */
  rewrite: z.boolean(),
})
export type PushGrants = z.infer<typeof pushGrantsSchema>
export const NO_GRANTS: PushGrants = { branches: [], rewrite: false }
/** With the main one. */
export const MOST_REPOSITORIES = 10

/** Folder of a checkout, part of a path of the git door. */
export const repositoryNameSchema = z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,99}$/)

/** A change of what is allowed: what is absent stays as it is. */
export const pushGrantChangeSchema = z.object({
  /** Which of the additional repositories; absent for the main one. */
  repository: repositoryNameSchema.optional(),
  grant: branchNameSchema.optional(),
  revoke: branchNameSchema.optional(),
  rewrite: z.boolean().optional(),
})
export type PushGrantChange = z.infer<typeof pushGrantChangeSchema>

/** `write`: the session has a branch of its own there. `read`: it fetches, and every push is refused. */
export const accessSchema = z.enum(['write', 'read'])
export type Access = z.infer<typeof accessSchema>

/** Beside the main one. `name` tells it from the others of its session; `branch` is never made where access is `read`. */
export const additionalRepositorySchema = repositorySchema.extend({
  name: repositoryNameSchema,
  access: accessSchema,
})
export type AdditionalRepository = z.infer<typeof additionalRepositorySchema>

export const turnSchema = z.object({
  id: turnIdSchema,
  kind: turnKindSchema,
  text: z.string(),
  submittedAt: z.string(),
  startedAt: z.string().nullable(),
  interruptRequested: z.boolean(),
})
export type Turn = z.infer<typeof turnSchema>

export const questionOptionSchema = z.object({
  label: z.string(),
  description: z.string().default(''),
})
/** `question`: the agent asks the user. `permission`: it wants to use a tool. `plan`: it wants its plan approved. */
export const questionSchema = z.object({
  id: z.string().min(1).max(100),
  turnId: turnIdSchema,
  kind: z.enum(['question', 'permission', 'plan']),
  title: z.string(),
  /** For `permission`: tool name and input; for `plan`: the plan. */
  detail: z.string().default(''),
  items: z
    .array(
      z.object({
        question: z.string(),
        header: z.string().default(''),
        multiSelect: z.boolean().default(false),
        options: z.array(questionOptionSchema),
      }),
    )
    .default([]),
  askedAt: z.string(),
})
export type Question = z.infer<typeof questionSchema>

/** `allow` answers permission and plan; `answers` maps each question's text to what was chosen or written. */
export const answerSchema = z.object({
  allow: z.boolean(),
  answers: z.record(z.string(), z.string()).default({}),
  message: z.string().max(20_000).default(''),
})
export type Answer = z.infer<typeof answerSchema>

/** Counted by the gateway. `costUsd` is null while no request had a known price. */
export const usageSchema = z.object({
  requests: z.int(),
  inputTokens: z.int(),
  outputTokens: z.int(),
  cacheReadTokens: z.int(),
  cacheCreationTokens: z.int(),
  costUsd: z.number().nullable(),
})
export type Usage = z.infer<typeof usageSchema>

/** `kept`: the commits are safe here and not yet outside. `none`: the source has no outside. */
export const outwardSchema = z.enum(['none', 'forwarded', 'kept', 'refused'])
/** Why commits are kept until somebody sets a credential: none is tried again by itself. */
export const CREDENTIAL_WANTED: ReadonlySet<string> = new Set([
  'credential_missing',
  'credential_refused',
])

/** For one session, or for its saved environment and so for later sessions too. */
export const allowScopeSchema = z.enum(['session', 'environment'])
export type AllowScope = z.infer<typeof allowScopeSchema>

/** `cancelled`: it took longer than it may, or the turn was interrupted. */
export const hookOutcomeSchema = z.enum(['success', 'error', 'cancelled'])

const changesSchema = z
  .object({ commit: z.string(), filesChanged: z.int(), insertions: z.int(), deletions: z.int() })
  .nullable()
const outwardStateSchema = z.object({
  state: outwardSchema,
  message: z.string(),
  /** When kept commits are tried again; null when nothing is planned. */
  nextAt: z.string().nullable().default(null),
})

/** What became of the work in one repository: both are seen by git. */
const additionalStateSchema = additionalRepositorySchema.extend({
  changes: changesSchema,
  outward: outwardStateSchema,
  pushGrants: pushGrantsSchema.default(NO_GRANTS),
})

export const sessionStateSchema = z.object({
  id: sessionIdSchema,
  ownerId: z.string(),
  title: z.string(),
  status: z.enum(SESSION_STATUSES),
  createdAt: z.string(),
  updatedAt: z.string(),
  lastSeq: z.int(),
  /** The main one: the agent starts in its folder. */
  repository: repositorySchema,
  additional: z.array(additionalStateSchema).default([]),
  environment: environmentSchema,
  /** What the repository asks for itself; null when it has no such file, or it was not read yet. */
  environmentFile: environmentFileSchema.nullable().default(null),
  /** Of the main repository. */
  pushGrants: pushGrantsSchema.default(NO_GRANTS),
  driver: z.string(),
  mode: modeSchema,
  model: z.string().nullable(),
  sandbox: z.object({
    state: z.enum(SANDBOX_STATES),
    /** Counts preparations; reports of an earlier one are refused. */
    generation: z.int(),
    isolation: z.string().nullable(),
    /** The last preparation follows a loss. */
    isReplacement: z.boolean().default(false),
    /** Since when it has been kept for what computes in it without a turn. */
    busySince: z.string().nullable().default(null),
    phases: z.array(phaseSchema),
  }),
  turn: turnSchema.nullable(),
  queue: z.array(turnSchema),
  questions: z.array(questionSchema),
  /** Answers that the runner has not confirmed yet, by question id. */
  answers: z.record(z.string(), answerSchema),
  /** What ended last: null while none did. */
  lastTurn: z
    .object({
      id: turnIdSchema,
      outcome: z.enum(['completed', 'failed', 'interrupted']),
      exitCode: z.int().nullable(),
    })
    .nullable(),
  /** The last of those that ended, the newest last: by these a message is known that is sent once more. */
  endedTurnIds: z.array(turnIdSchema).default([]),
  usage: usageSchema,
  /** Of the main repository, as is `outward`. */
  changes: changesSchema,
  outward: outwardStateSchema,
  failure: z.object({ reason: z.string(), message: z.string() }).nullable(),
})
export type SessionState = z.infer<typeof sessionStateSchema>
export type AdditionalState = SessionState['additional'][number]

/** One of a session's repositories: the main one without a name. */
export function repositoryOf(
  { repository, additional }: Pick<SessionState, 'repository' | 'additional'>,
  name: string | null | undefined,
): Repository | AdditionalState | undefined {
  return name == null ? repository : additional.find((one) => one.name === name)
}

/** What the owner granted of that one of the session's repositories. */
export function grantedOf(
  { pushGrants }: Pick<SessionState, 'pushGrants'>,
  repository: Repository | AdditionalState,
): PushGrants {
  return 'access' in repository ? repository.pushGrants : pushGrants
}

/** With what the session's environment allows already. Null: the session only reads it, and pushes nothing there. */
export function grantsOf(
  state: Pick<SessionState, 'pushGrants'> & { environment: { git: { rewrite: boolean } } },
  repository: Repository | AdditionalState,
): PushGrants | null {
  if ('access' in repository && repository.access === 'read') return null
  const { branches, rewrite } = grantedOf(state, repository)
  return { branches, rewrite: rewrite || state.environment.git.rewrite }
}
