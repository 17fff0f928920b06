// Which environment a session gets that names none: per repository, else the owner's, else the oldest that is not archived.
// One that is archived or gone counts as not set.
import { z } from 'zod'
import type { EnvironmentDefaults } from '../protocol/api.ts'
import type { Environment } from '../protocol/environment.ts'
import { AppError } from '../protocol/errors.ts'
import { environmentIdSchema } from '../protocol/ids.ts'
import type { SettingsStore } from './settings.ts'

export interface EnvironmentDefaultStore {
  defaults(ownerId: string): Promise<EnvironmentDefaults>
  /** `repository` null: of the owner. `environment` null forgets what was set. */
  setDefault(
    ownerId: string,
    choice: { repository: string | null; environment: string | null },
  ): Promise<void>
  /** What a session on `repository` gets; made, with the defaults of every field, when the owner has none at all. */
  ensureDefault(ownerId: string, repository?: string): Promise<Environment>
}

export interface SavedEnvironments {
  get(ownerId: string, id: string): Promise<Environment | undefined>
  list(ownerId: string): Promise<Environment[]>
  ensureOne(ownerId: string): Promise<Environment>
}

const idSchema = z.object({ environment: environmentIdSchema })
const MOST_REPOSITORIES = 500

export function createEnvironmentDefaultStore(
  environments: SavedEnvironments,
  settings: SettingsStore,
): EnvironmentDefaultStore {
  const ownKey = (ownerId: string) => `environment-default/${ownerId}`
  /** No key of an owner is the start of another's: the separator is in none. */
  const repositoryPrefix = (ownerId: string) => `environment-default-of/${ownerId}\n`
  const living = async (ownerId: string, key: string) => {
    const set = await settings.get(key, idSchema)
    const environment = set && (await environments.get(ownerId, set.environment))
    return environment?.archivedAt === null ? environment : undefined
  }
  const ensureDefault: EnvironmentDefaultStore['ensureDefault'] = async (ownerId, repository) => {
    const key = repository === undefined ? undefined : repositoryPrefix(ownerId) + repository
    const found = (key && (await living(ownerId, key))) || (await living(ownerId, ownKey(ownerId)))
    return found ?? environments.ensureOne(ownerId)
  }
  return {
    ensureDefault,
    defaults: async (ownerId) => {
      const { id } = await ensureDefault(ownerId)
      const present = new Set((await environments.list(ownerId)).map((one) => one.id))
      const rows = await settings.list(repositoryPrefix(ownerId), idSchema)
      const repositories = rows.map(({ key, value }) => ({ repository: key, ...value }))
      return {
        environment: id,
        repositories: repositories.filter(({ environment }) => present.has(environment)),
      }
    },
    setDefault: async (ownerId, { repository, environment }) => {
      const prefix = repositoryPrefix(ownerId)
      const key = repository === null ? ownKey(ownerId) : prefix + repository
      if (environment === null) return settings.remove(key)
      const chosen = await environments.get(ownerId, environment)
      if (chosen?.archivedAt !== null)
        throw new AppError('not_found', 'environment_not_found', 'there is no such environment')
      if (
        repository !== null &&
        (await settings.list(prefix, idSchema)).length >= MOST_REPOSITORIES
      )
        throw new AppError(
          'conflict',
          'too_many_defaults',
          `${MOST_REPOSITORIES} repositories have an environment of their own already: forget some.`,
        )
      await settings.set(key, { environment })
    },
  }
}
