// Asks a database who it is and changes nothing: for who wants to know whether it can be used.
import pg from 'pg'
import { clientConfig, type DatabaseConnection } from './database.ts'

export async function askDatabase(
  connection: DatabaseConnection,
  limitMs: number,
): Promise<{ version: string; now: Date }> {
  const client = new pg.Client({
    ...clientConfig(connection),
    connectionTimeoutMillis: limitMs,
    query_timeout: limitMs,
  })
  client.on('error', () => undefined)
  try {
    await client.connect()
    const text = "select current_setting('server_version') as version, clock_timestamp() as now"
    const { rows } = await client.query<{ version: string; now: Date }>(text)
    const [row] = rows
    if (!row) throw new Error('it gave no answer')
    return row
  } finally {
    await client.end().catch(() => undefined)
  }
}
