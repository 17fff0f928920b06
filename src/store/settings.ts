// What belongs to the installation as a whole, by key. Values are JSON and parsed by the schema of who reads them.
import type { Kysely } from 'kysely'
import type { z } from 'zod'
import type { Database } from './schema.ts'

export interface SettingsStore {
  /** Undefined when it was never set, or what is stored does not fit the schema. */
  get<T>(key: string, schema: z.ZodType<T>): Promise<T | undefined>
  set(key: string, value: unknown): Promise<void>
  /** Returns what is stored afterwards: the first one who sets it wins. */
  setOnce(key: string, value: unknown): Promise<unknown>
  remove(key: string): Promise<void>
  /** By what follows `prefix`, in its order; what does not fit the schema is left out. */
  list<T>(prefix: string, schema: z.ZodType<T>): Promise<{ key: string; value: T }[]>
}

export function createSettingsStore(db: Kysely<Database>): SettingsStore {
  const read = (key: string) =>
    db.selectFrom('settings').select('value').where('key', '=', key).executeTakeFirst()
  return {
    get: async (key, schema) => {
      const row = await read(key)
      const parsed = row && schema.safeParse(row.value)
      return parsed?.success ? parsed.data : undefined
    },
    set: async (key, value) => {
      const row = { key, value: JSON.stringify(value) }
      const query = db.insertInto('settings').values(row)
      await query
        .onConflict((conflict) => conflict.column('key').doUpdateSet({ value: row.value }))
        .execute()
    },
    setOnce: async (key, value) => {
      const query = db.insertInto('settings').values({ key, value: JSON.stringify(value) })
      await query.onConflict((conflict) => conflict.doNothing()).execute()
      return (await read(key))?.value
    },
    remove: async (key) => {
      await db.deleteFrom('settings').where('key', '=', key).execute()
    },
    list: async (prefix, schema) => {
      const query = db
        .selectFrom('settings')
        .selectAll()
        .where((eb) => eb(eb.fn<boolean>('starts_with', ['key', eb.val(prefix)]), '=', true))
      return (await query.orderBy('key').execute()).flatMap(({ key, value }) => {
        const parsed = schema.safeParse(value)
        return parsed.success ? [{ key: key.slice(prefix.length), value: parsed.data }] : []
      })
    },
  }
}
