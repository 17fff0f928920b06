// Answers that are streamed: passed on piece by piece, counted as they pass, and cut where they are cut.
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { afterEach, describe, expect, it } from 'vitest'
import { BODY, call, closeServers, openDoor, START } from './pass-through.fixture.ts'

afterEach(closeServers)

describe('an answer on its way', () => {
  it('hands a cut stream on as a cut and counts what was seen', async () => {
    const { url, usage, problems, settled } = await openDoor((_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write(START, () => res.destroy())
    })
    const answer = await call(url)
    await settled()
    expect(answer).toMatchObject({ status: 200, body: START, cut: true })
    expect(problems).toMatchObject([{ status: 200, reason: 'model_stream_cut' }])
    expect(usage).toMatchObject([{ status: 200, inputTokens: 10, outputTokens: 5 }])
  })

  it('reports a stream that ends too early and one that ends in an error', async () => {
    const error = { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }
    const tails = ['', `event: error\ndata: ${JSON.stringify(error)}\n\n`]
    const { url, problems, settled } = await openDoor((_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' }).end(START + tails.shift())
    })
    expect(await call(url)).toMatchObject({ cut: false })
    expect(await call(url)).toMatchObject({ cut: false })
    await settled()
    expect(problems.map(({ reason }) => reason)).toEqual(['model_stream_cut', 'model_overloaded'])
  })

  it('says what was used before the agent gets to know it', async () => {
    const told: string[] = []
    const { url } = await openDoor(
      (_, res) => {
        res.writeHead(200, { 'content-type': 'text/event-stream' })
        res.write(START)
      },
      { onProgress: ({ inputTokens, status }) => told.push(`${status} ${inputTokens}`) },
    )
    const outgoing = request(`${url}/model/v1/messages`, { method: 'POST' })
    outgoing.end(JSON.stringify(BODY))
    const [res] = (await once(outgoing, 'response')) as [IncomingMessage]
    await once(res, 'data')
    expect(told).toEqual(['200 10'])
    res.destroy()
  })

  it('streams: the first byte arrives before the answer ends', async () => {
    let finish: () => void = () => undefined
    const { url } = await openDoor((_, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write(START)
      finish = () => res.end()
    })
    const outgoing = request(`${url}/model/v1/messages`, { method: 'POST' }).end(
      JSON.stringify(BODY),
    )
    const [res] = (await once(outgoing, 'response')) as [IncomingMessage]
    const [chunk] = await once(res, 'data')
    expect(String(chunk)).toBe(START)
    finish()
    await once(res, 'end')
  })

  it('cancels the upstream when the agent leaves, and counts what was seen', async () => {
    let left: Promise<unknown> = Promise.resolve()
    const { url, usage, problems, settled } = await openDoor((_, res) => {
      left = once(res, 'close')
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write(START)
    })
    const outgoing = request(`${url}/model/v1/messages`, { method: 'POST' }).end(
      JSON.stringify(BODY),
    )
    outgoing.on('error', () => undefined)
    const [res] = (await once(outgoing, 'response')) as [IncomingMessage]
    res.on('error', () => undefined)
    await once(res, 'data')
    outgoing.destroy()
    await left
    await settled()
    expect(usage).toMatchObject([{ inputTokens: 10, outputTokens: 5 }])
    expect(problems).toEqual([])
  })
})
