// Against a real HTTP server that takes a request and dies before it answers.
import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { AppError } from '../protocol/errors.ts'
import { createClient } from './client.ts'
import { sendUntilAnswered } from './send-again.ts'

const TURN = `t_${'a'.repeat(20)}`
const PATIENCE = { ms: 20_000, pauses: { firstMs: 1, mostMs: 2 } }

let server: Server
let bodies: string[]
let answer: (response: ServerResponse, count: number) => void

beforeEach(async () => {
  bodies = []
  server = createServer(async (request: IncomingMessage, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    bodies.push(body)
    answer(response, bodies.length)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterEach(() => {
  server.closeAllConnections()
  server.close()
})

function sendMessage(patience = PATIENCE) {
  const { port } = server.address() as AddressInfo
  const client = createClient({ baseUrl: `http://127.0.0.1:${port}` })
  const message = { text: 'go on', turnId: TURN }
  return sendUntilAnswered(() => client.sendMessage('s_x', message), patience)
}

function refuse(response: ServerResponse, error: AppError) {
  response.writeHead(error.status, { 'content-type': 'application/json' })
  response.end(JSON.stringify(error.toBody()))
}

describe('what is sent until it is answered', () => {
  it('is sent again, the same, when the connection breaks and while the server starts', async () => {
    answer = (response, count) => {
      if (count === 1) response.destroy()
      else if (count === 2)
        refuse(response, new AppError('unavailable', 'database_starting', 'in a moment'))
      else response.writeHead(202).end(JSON.stringify({ turnId: TURN }))
    }
    expect(await sendMessage()).toEqual({ turnId: TURN })
    expect(bodies).toEqual(Array.from({ length: 3 }, () => bodies[0]))
    expect(JSON.parse(bodies[0] ?? '')).toMatchObject({ text: 'go on', turnId: TURN })
  })

  it('is sent again when its answer was cut off in the middle', async () => {
    answer = (response, count) => {
      const whole = JSON.stringify({ turnId: TURN })
      if (count === 2) return response.writeHead(202).end(whole)
      response.writeHead(202, { 'content-length': whole.length })
      response.write(whole.slice(0, 5), () => response.destroy())
    }
    expect(await sendMessage()).toEqual({ turnId: TURN })
    expect(bodies).toEqual([bodies[0], bodies[0]])
  })

  it('is not sent again when it was refused', async () => {
    answer = (response) => refuse(response, new AppError('conflict', 'session_archived', 'no'))
    await expect(sendMessage()).rejects.toMatchObject({ reason: 'session_archived' })
    expect(bodies).toHaveLength(1)
  })

  it('says at last that nobody answers', async () => {
    answer = (response) => response.destroy()
    const short = { ms: 30, pauses: { firstMs: 4, mostMs: 8 } }
    await expect(sendMessage(short)).rejects.toMatchObject({ reason: 'errand_unreachable' })
    expect(bodies.length).toBeGreaterThan(1)
  })
})
