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
      // Read here: PostgreSQL reads nothing out of JSON with a NUL in it, as what a turn failed with may have.
      const ended = await sql<{ body: { turnId: string } }>`
        select body from events
        where session_id = ${id} and type = any(${ENDS}) order by seq desc limit ${KEPT}`.execute(
        db,
      )
      const endedTurnIds = ended.rows.map(({ body }) => body.turnId).reverse()
      const state = JSON.stringify({ ...session.rows[0]?.state, endedTurnIds })
      await sql`update sessions set state = ${state} where id = ${id}`.execute(db)
    }
  },
}
