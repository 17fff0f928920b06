// What a session's state tells of the turns that have ended, as its events give it: by these a message is known that is sent
// once more.
import { type Kysely, sql } from 'kysely'

const KEPT = 32
const ENDS = ['turn.completed', 'turn.failed', 'turn.interrupted']

export const endedTurns = {
  async up(db: Kysely<unknown>): Promise<void> {
    const { rows } = await sql<{ id: string }>`select id from sessions`.execute(db)
    for (const { id } of rows) {
      const session = await sql<{ state: object }>`
        select state from sessions where id = ${id}`.execute(db)
      const ended = await sql<{ turn: string }>`
        select body ->> 'turnId' as turn from events
        where session_id = ${id} and type = any(${ENDS}) order by seq desc limit ${KEPT}`.execute(
        db,
      )
      const endedTurnIds = ended.rows.map(({ turn }) => turn).reverse()
      const state = JSON.stringify({ ...session.rows[0]?.state, endedTurnIds })
      await sql`update sessions set state = ${state} where id = ${id}`.execute(db)
    }
  },
}
