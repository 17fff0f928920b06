import { describe, expect, it } from 'vitest'
import { readTarget } from './model-target.ts'

const read = (path: string, query = '') => readTarget(path, new URLSearchParams(query))
const VERTEX = '/vertex/projects/p-1/locations/us-east5/publishers/anthropic/models'

describe('readTarget', () => {
  it('knows the Messages API and keeps of a query only beta=true', () => {
    expect(read('/v1/messages', 'beta=true&evil=1')).toEqual({
      ...{ form: 'messages', asks: 'message', path: '/v1/messages?beta=true' },
    })
    expect(read('/v1/messages/count_tokens')).toMatchObject({ asks: 'count' })
  })

  it('knows an invocation of Bedrock, also of a profile by its ARN', () => {
    expect(read('/bedrock/model/eu.anthropic.claude-opus-4-1-v1%3A0/invoke')).toEqual({
      form: 'bedrock',
      asks: 'message',
      model: 'eu.anthropic.claude-opus-4-1-v1:0',
      path: '/model/eu.anthropic.claude-opus-4-1-v1%3A0/invoke',
    })
    const arn = 'arn:aws:bedrock:us-east-2:1:application-inference-profile/abc'
    const path = `/bedrock/model/${encodeURIComponent(arn)}/invoke-with-response-stream`
    expect(read(path)).toMatchObject({ model: arn, asks: 'message' })
    expect(read('/bedrock/model/m/count-tokens')).toMatchObject({ asks: 'count', model: 'm' })
  })

  it('knows a prediction of Vertex, with whose it is', () => {
    expect(read(`${VERTEX}/claude-opus-4-1@20250805:streamRawPredict`)).toEqual({
      form: 'vertex',
      asks: 'message',
      model: 'claude-opus-4-1@20250805',
      path: `${VERTEX.slice('/vertex'.length)}/claude-opus-4-1@20250805:streamRawPredict`,
      place: { project: 'p-1', region: 'us-east5' },
    })
    expect(read(`${VERTEX}/count-tokens:rawPredict`)).toMatchObject({ asks: 'count' })
  })

  it.each([
    '/v1/files',
    '/v1/messages/batches',
    '/constructor',
    '/bedrock/model/m/converse',
    '/bedrock/model/m/async-invoke',
    '/bedrock/model/..%2f..%2ffoundation-models/invoke',
    '/bedrock/model/a%2f%2e%2e%2fb/invoke',
    '/bedrock/model/%E0%A4%A/invoke',
    '/bedrock/model//invoke',
    `${VERTEX}/m:predict`,
    `${VERTEX}/count-tokens:streamRawPredict`,
    '/vertex/projects/p/locations/l/publishers/google/models/gemini:rawPredict',
    '/vertex/projects/p/../q/locations/l/publishers/anthropic/models/m:rawPredict',
  ])('does not know %s', (path) => {
    expect(read(path)).toBeUndefined()
  })
})
