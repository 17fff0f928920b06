// Layers of environments: who makes one, what it is made from, and which are there. Of a key at most one is being made: its
// maker holds it by a lease, and who finds it taken waits for the next change. Whatever ends a making wakes those who wait.
import { type Kysely, type Selectable, sql, type Transaction } from 'kysely'
import { z } from 'zod'
import { environmentSchema, imageSchema } from '../protocol/environment.ts'
import { wakeEffects } from './effects.ts'
import { LAYERS_CHANNEL } from './postgres/channels.ts'
import type { Database, LayersTable } from './schema.ts'

/** `stale`: no session is given it any more; it goes once no sandbox is made from it. */
export type LayerState = 'building' | 'ready' | 'stale' | 'failed'

/** All that the sandbox of a setup script is made from. `data` in base64. */
const setupRecipeSchema = z.object({
  environment: environmentSchema,
  /** Whose registries the script may reach at level trusted; those of the environment's image unless told. */
  reach: imageSchema.optional(),
  files: z.array(z.object({ path: z.string(), data: z.string() })),
})
export type SetupRecipe = z.infer<typeof setupRecipeSchema>

const checkoutRecipeSchema = z.object({
  /** The folder of the work tree is named so. */
  name: z.string(),
  commit: z.string(),
  /** From its repository the commit is read. */
  sessionId: z.string(),
  limits: environmentSchema.shape.limits,
})
export type CheckoutRecipe = z.infer<typeof checkoutRecipeSchema>

export type LayerRecipe = SetupRecipe | CheckoutRecipe

export function isCheckout(recipe: LayerRecipe): recipe is CheckoutRecipe {
  return 'commit' in recipe
}

/** Whose work tree a layer holds. */
export interface LayerCheckout {
  /** As its sessions see it, without a credential; empty when it has none. */
  url: string
  name: string
  commit: string
}

const failureSchema = z.object({ reason: z.string(), message: z.string() })

export interface Layer {
  id: string
  key: string
  ownerId: string
  environmentId: string
  state: LayerState
  /** While it is being made. */
  sandboxId: string | null
  recipe: LayerRecipe | null
  deadlineAt: Date | null
  /** The last lines, and how many there were. */
  log: string[]
  logCount: number
  ackedN: number
  hasEnded: boolean
  /** Null when the script was ended at its limit. */
  exitCode: number | null
  failure: { reason: string; message: string } | null
  bytes: number
  /** Null of what a setup script made. */
  checkout: LayerCheckout | null
  madeAt: Date | null
  updatedAt: Date
  usedAt: Date
}

export interface LayerClaim {
  key: string
  ownerId: string
  /** Empty for a work tree, which belongs to none. */
  environmentId: string
  checkout?: LayerCheckout
  recipe: LayerRecipe
  /** Of the layer and its sandbox, should one have to be made. */
  ids: { layerId: string; sandboxId: string }
  holder: string
  leaseMs: number
  /** A layer that was made earlier is made anew. */
  notBefore: Date
  /** Whoever waits since then is told of a failure; anybody else makes it anew. */
  waitingSince: Date | undefined
}

/** What was seen of a script since the report before. */
export interface LayerReport {
  n: number
  lines?: string[]
  ended?: { exitCode: number | null }
}

export interface LayerStore {
  /** `claimed`: the caller makes it now. Otherwise what there is: ready, being made by somebody else, or failed. */
  claim(claim: LayerClaim): Promise<{ claimed: boolean; layer: Layer }>
  /** False: the holder has lost it. */
  renew(id: string, holder: string, leaseMs: number): Promise<boolean>
  /** Whoever makes one. */
  holders(): Promise<string[]>
  /** That maker has ended: nobody has to wait for it. Returns how many layers it made. */
  endLeases(holder: string): Promise<number>
  finish(id: string, holder: string, bytes: number): Promise<boolean>
  fail(id: string, holder: string, failure: { reason: string; message: string }): Promise<void>
  /** Nothing came of it, and nobody is to be told so: who waits makes it. */
  release(id: string, holder: string): Promise<void>
  report(sandboxId: string, report: LayerReport): Promise<void>
  get(id: string): Promise<Layer | undefined>
  /** One that is being made. */
  findBuilding(sandboxId: string): Promise<Layer | undefined>
  findReady(key: string, notBefore: Date): Promise<Layer | undefined>
  /** Work trees of a repository that are ready, the most recently used first. */
  listCheckouts(
    of: { ownerId: string } & Pick<LayerCheckout, 'url' | 'name'>,
    most: number,
  ): Promise<Layer[]>
  /** It is given to a session now. */
  markUsed(id: string): Promise<void>
  /** The least recently used first. */
  list(): Promise<Layer[]>
  /** Returns how many the next sessions will make anew. */
  markStale(which: { ownerId: string; environmentId: string } | { ids: string[] }): Promise<number>
  remove(id: string): Promise<void>
}

const LINES_KEPT = 200
/** The reason of effects that wait for a layer. */
export const LAYER_BUILDING = 'layer_building'

function held(tx: Transaction<Database>, id: string, holder: string) {
  return tx
    .updateTable('layers')
    .where('id', '=', id)
    .where('holder', '=', holder)
    .where('state', '=', 'building')
}

export function createLayerStore(db: Kysely<Database>, clock: () => Date): LayerStore {
  const one = async (query: ReturnType<typeof all>) => {
    const row = await query.executeTakeFirst()
    return row && toLayer(row)
  }
  const all = () => db.selectFrom('layers').selectAll()
  const end = (work: (tx: Transaction<Database>, now: Date) => Promise<unknown>) =>
    db.transaction().execute(async (tx) => {
      const now = clock()
      await work(tx, now)
      await wakeEffects(tx, LAYER_BUILDING, now)
    })
  return {
    claim: (claim) => db.transaction().execute((tx) => claimLayer(tx, claim, clock())),
    ...leaseQueries(db, clock),
    finish: async (id, holder, bytes) => {
      let isFinished = false
      await end(async (tx, now) => {
        isFinished = await finishLayer(held(tx, id, holder), tx, { id, bytes, now })
      })
      return isFinished
    },
    fail: (id, holder, failure) =>
      end((tx, now) => {
        const failed = { state: 'failed', failure: JSON.stringify(failure), ...ENDED }
        return held(tx, id, holder)
          .set({ ...failed, updated_at: now })
          .execute()
      }),
    release: (id, holder) =>
      end((tx) =>
        tx.deleteFrom('layers').where('id', '=', id).where('holder', '=', holder).execute(),
      ),
    report: (sandboxId, report) =>
      db.transaction().execute((tx) => takeReport(tx, { sandboxId, report, now: clock() })),
    get: (id) => one(all().where('id', '=', id)),
    findBuilding: (sandboxId) =>
      one(all().where('sandbox_id', '=', sandboxId).where('state', '=', 'building')),
    findReady: (key, notBefore) =>
      one(
        all().where('key', '=', key).where('state', '=', 'ready').where('made_at', '>', notBefore),
      ),
    ...checkoutQueries(db, clock),
    list: async () => (await all().orderBy('used_at').execute()).map(toLayer),
    markStale: async (which) => {
      let query = db
        .updateTable('layers')
        .set({ state: 'stale', updated_at: clock() })
        .where('state', '=', 'ready')
      if ('ids' in which) query = query.where('id', 'in', which.ids)
      else
        query = query
          .where('owner_id', '=', which.ownerId)
          .where('environment_id', '=', which.environmentId)
      return Number((await query.executeTakeFirst()).numUpdatedRows)
    },
    remove: async (id) => {
      await db.deleteFrom('layers').where('id', '=', id).execute()
    },
  }
}

function leaseQueries(
  db: Kysely<Database>,
  clock: () => Date,
): Pick<LayerStore, 'renew' | 'holders' | 'endLeases'> {
  const building = () => db.updateTable('layers').where('state', '=', 'building')
  const after = (ms: number) => ({ deadline_at: new Date(clock().getTime() + ms) })
  return {
    renew: async (id, holder, leaseMs) => {
      const held = building().where('id', '=', id).where('holder', '=', holder)
      return (await held.set(after(leaseMs)).executeTakeFirst()).numUpdatedRows > 0n
    },
    holders: async () => {
      const rows = db.selectFrom('layers').select('holder').where('state', '=', 'building')
      return (await rows.execute()).flatMap(({ holder }) => holder ?? [])
    },
    endLeases: async (holder) => {
      const held = building().where('holder', '=', holder)
      return Number((await held.set(after(-1)).executeTakeFirst()).numUpdatedRows)
    },
  }
}

function checkoutQueries(
  db: Kysely<Database>,
  clock: () => Date,
): Pick<LayerStore, 'listCheckouts' | 'markUsed'> {
  return {
    listCheckouts: async ({ ownerId, url, name }, most) => {
      const query = db
        .selectFrom('layers')
        .selectAll()
        .where('owner_id', '=', ownerId)
        .where('repository_url', '=', url)
        .where('repository_name', '=', name)
        .where('state', '=', 'ready')
      return (await query.orderBy('used_at', 'desc').limit(most).execute()).map(toLayer)
    },
    markUsed: async (id) => {
      await db.updateTable('layers').set({ used_at: clock() }).where('id', '=', id).execute()
    },
  }
}

/** Those of its key that were there before are given to nobody any more. */
async function finishLayer(
  making: ReturnType<typeof held>,
  tx: Transaction<Database>,
  { id, bytes, now }: { id: string; bytes: number; now: Date },
): Promise<boolean> {
  const made = { state: 'ready', made_at: now, used_at: now, updated_at: now, bytes }
  const row = await making
    .set({ ...made, ...ENDED })
    .returning('key')
    .executeTakeFirst()
  if (!row) return false
  await tx
    .updateTable('layers')
    .set({ state: 'stale', updated_at: now })
    .where('key', '=', row.key)
    .where('state', '=', 'ready')
    .where('id', '!=', id)
    .execute()
  return true
}

/** Of a making that is over. */
const ENDED = { recipe: null, holder: null, deadline_at: null, sandbox_id: null }

async function claimLayer(
  tx: Transaction<Database>,
  claim: LayerClaim,
  now: Date,
): Promise<{ claimed: boolean; layer: Layer }> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${claim.key}, 0))`.execute(tx)
  const rows = await tx
    .selectFrom('layers')
    .selectAll()
    .where('key', '=', claim.key)
    .orderBy('created_at', 'desc')
    .execute()
  const layers = rows.map(toLayer)
  const building = layers.find(({ state }) => state === 'building')
  if (building?.deadlineAt && building.deadlineAt > now) return { claimed: false, layer: building }
  const { notBefore, waitingSince } = claim
  const ready = layers.find(
    ({ state, madeAt }) => state === 'ready' && madeAt !== null && madeAt > notBefore,
  )
  if (ready) {
    await tx.updateTable('layers').set({ used_at: now }).where('id', '=', ready.id).execute()
    return { claimed: false, layer: ready }
  }
  const failed = layers.find(
    ({ state, updatedAt }) =>
      state === 'failed' && waitingSince !== undefined && updatedAt > waitingSince,
  )
  if (failed) return { claimed: false, layer: failed }
  // Its maker has died: what it began is taken away by the clock, which finds a sandbox that nobody has.
  if (building) await tx.deleteFrom('layers').where('id', '=', building.id).execute()
  return { claimed: true, layer: await insertLayer(tx, claim, now) }
}

async function insertLayer(
  tx: Transaction<Database>,
  { key, ownerId, environmentId, checkout, recipe, ids, holder, leaseMs }: LayerClaim,
  now: Date,
): Promise<Layer> {
  const row = await tx
    .insertInto('layers')
    .values({
      id: ids.layerId,
      sandbox_id: ids.sandboxId,
      ...{ key, holder, owner_id: ownerId, environment_id: environmentId },
      state: 'building',
      repository_url: checkout?.url ?? null,
      repository_name: checkout?.name ?? null,
      commit_id: checkout?.commit ?? null,
      recipe: JSON.stringify(recipe),
      deadline_at: new Date(now.getTime() + leaseMs),
      log: '[]',
      ...{ created_at: now, updated_at: now, used_at: now },
    })
    .returningAll()
    .executeTakeFirstOrThrow()
  return toLayer(row)
}

async function takeReport(
  tx: Transaction<Database>,
  { sandboxId, report, now }: { sandboxId: string; report: LayerReport; now: Date },
): Promise<void> {
  const row = await tx
    .selectFrom('layers')
    .selectAll()
    .where('sandbox_id', '=', sandboxId)
    .where('state', '=', 'building')
    .forUpdate()
    .executeTakeFirst()
  if (!row || report.n <= row.acked_n) return
  const { id, log, logCount } = toLayer(row)
  const { n, lines = [], ended } = report
  await tx
    .updateTable('layers')
    .set({
      acked_n: n,
      log: JSON.stringify([...log, ...lines].slice(-LINES_KEPT)),
      log_count: logCount + lines.length,
      ...(ended ? { has_ended: true, exit_code: ended.exitCode } : {}),
      updated_at: now,
    })
    .where('id', '=', id)
    .execute()
  await sql`select pg_notify(${LAYERS_CHANNEL}, ${sandboxId})`.execute(tx)
}

function toLayer(row: Selectable<LayersTable>): Layer {
  return {
    id: row.id,
    key: row.key,
    ownerId: row.owner_id,
    environmentId: row.environment_id,
    state: row.state as LayerState,
    sandboxId: row.sandbox_id,
    recipe: row.recipe === null ? null : parseRecipe(row.recipe),
    deadlineAt: row.deadline_at,
    log: z.array(z.string()).parse(row.log),
    logCount: row.log_count,
    ackedN: row.acked_n,
    hasEnded: row.has_ended,
    exitCode: row.exit_code,
    failure: row.failure === null ? null : failureSchema.parse(row.failure),
    bytes: row.bytes,
    checkout: checkoutOf(row),
    madeAt: row.made_at,
    updatedAt: row.updated_at,
    usedAt: row.used_at,
  }
}

function parseRecipe(value: unknown): LayerRecipe {
  return z.union([setupRecipeSchema, checkoutRecipeSchema]).parse(value)
}

function checkoutOf({
  repository_url: url,
  repository_name: name,
  commit_id: commit,
}: Selectable<LayersTable>): LayerCheckout | null {
  return url === null || name === null || commit === null ? null : { url, name, commit }
}
