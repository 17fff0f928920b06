// What people say to a session: follow-up turns and answers.
import { randomBytes } from 'node:crypto'
import { z } from 'zod'
import {
  answerBodySchema,
  messageAcceptedSchema,
  newMessageSchema,
  sessionAnswerSchema,
} from '../../protocol/api.ts'
import { createId, turnIdSchema } from '../../protocol/ids.ts'
import type { HttpDeps } from '../deps.ts'
import { withPlace } from '../places.ts'
import { type Api, addRoute, ownedSession, sessionParams } from '../route.ts'

const tag = 'Messages'

export function addMessageRoutes(api: Api, deps: HttpDeps): void {
  const { sessions } = deps
  addRoute(
    api,
    {
      ...{ method: 'post', path: '/sessions/{id}/messages', summary: 'Queue a turn', tag },
      ...{ params: sessionParams, body: newMessageSchema },
      ...{ answer: messageAcceptedSchema, status: 202 },
    },
    async ({ user, params, body }) => {
      const session = await ownedSession(deps, user, params.id)
      const { turnId = createId('turn', randomBytes(20)), ...message } = body
      await sessions.command(session.id, { type: 'turn.submit', turnId, ...message })
      return { turnId }
    },
  )
  addRoute(
    api,
    {
      ...{ method: 'delete', path: '/sessions/{id}/messages/{turnId}', tag },
      summary: 'Take back a queued turn',
      ...{ params: sessionParams.extend({ turnId: turnIdSchema }), answer: sessionAnswerSchema },
    },
    async ({ user, params }) => {
      const session = await ownedSession(deps, user, params.id)
      const { turnId } = params
      const state = await sessions.command(session.id, { type: 'message.withdraw', turnId })
      return withPlace(sessions, state)
    },
  )
  addRoute(
    api,
    {
      ...{ method: 'post', path: '/sessions/{id}/questions/{questionId}', tag },
      summary: 'Answer what the agent asks',
      params: sessionParams.extend({ questionId: z.string().min(1).max(100) }),
      ...{ body: answerBodySchema, answer: sessionAnswerSchema },
    },
    async ({ user, params, body: answer }) => {
      const session = await ownedSession(deps, user, params.id)
      const { questionId } = params
      return sessions.command(session.id, { type: 'question.answer', questionId, answer })
    },
  )
}
