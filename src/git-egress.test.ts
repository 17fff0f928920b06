import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { request, type Server } from 'node:http'
import { expect, it, onTestFinished } from 'vitest'
import { startGitEgress } from './git-egress.ts'
import { createSilentLogger } from './lib/logger.ts'

it('lets a push over plain http take as long as it takes', async () => {
  const { proxyUrl, close } = await startGitEgress([], createSilentLogger())
  onTestFinished(close)
  const found = Promise.withResolvers<Server>()
  const onStart = (started: unknown) => found.resolve((started as { server: Server }).server)
  subscribe('http.server.request.start', onStart)
  onTestFinished(() => void unsubscribe('http.server.request.start', onStart))
  const asked = request(proxyUrl, { path: 'http://127.0.0.1/', agent: false })
  const status = new Promise((resolve) => asked.on('response', (res) => resolve(res.statusCode)))
  asked.end()
  expect(await status).toBe(403)
  // By default Node.js ends a request whose body is not there after five minutes.
  expect((await found.promise).requestTimeout).toBe(0)
})
