// The real Claude Code on Bedrock and on Vertex, as a sandbox tells it: it speaks their forms to the model door without any
// key, the door signs, and a stand-in that checks the signature answers with the scripted model.
import { afterEach, expect, it } from 'vitest'
import { createBedrockUpstream } from '../src/model/bedrock.ts'
import { isUpstream, type Upstream } from '../src/model/upstream.ts'
import { createVertexUpstream } from '../src/model/vertex.ts'
import { AWS_KEYS, type Cloud, GOOGLE, startBedrock, startVertex } from './clouds.fixture.ts'
import { createRealAgent, type RealAgent } from './real-agent.ts'

let agent: RealAgent | undefined
let cloud: Cloud | undefined

afterEach(async () => {
  await agent?.close()
  await cloud?.close()
})

const usable = (upstream: ReturnType<typeof createBedrockUpstream>): Upstream => {
  if (!isUpstream(upstream)) throw new Error(upstream.message)
  return upstream
}

async function fixTheTest(
  upstreamFor: (behind: { url: () => string; key: string }) => Promise<Upstream>,
) {
  agent = await createRealAgent({ upstreamFor })
  const { result } = await agent.ask('Make the failing test pass.')
  expect(result).toMatchObject({ subtype: 'success', is_error: false })
  expect(await agent.git('log', '--format=%s', '-1')).toBe(
    'Give the discount from exactly three pieces on\n',
  )
  expect(agent.problems).toEqual([])
  expect(cloud?.seen.filter(({ refused }) => refused)).toEqual([])
  const counted = agent.usage.map(({ outputTokens }) => outputTokens)
  expect(counted).toEqual(agent.model.requests.map(({ usage }) => usage?.output_tokens))
  expect(Math.min(...counted)).toBeGreaterThan(0)
}

it('works on Bedrock, signed outside', async () => {
  await fixTheTest(async (behind) => {
    const bedrock = await startBedrock(behind)
    cloud = bedrock
    const { keyId, secretKey, region } = AWS_KEYS
    const none = { sessionToken: undefined, bearer: undefined }
    return usable(
      createBedrockUpstream({ baseUrl: bedrock.url, keyId, secretKey, region, ...none }),
    )
  })
  expect(cloud?.seen[0]?.request).toMatch(
    /^POST \/model\/[^/]*anthropic\.claude-[^/]+\/invoke-with-response-stream$/,
  )
})

it('works on Vertex, with a token that was asked for outside, once', async () => {
  await fixTheTest(async (behind) => {
    const vertex = await startVertex(behind)
    cloud = vertex
    const { project, region } = GOOGLE
    const { credentials } = vertex
    return usable(
      createVertexUpstream({ baseUrl: `${vertex.url}/v1`, project, region, credentials }),
    )
  })
  const requests = cloud?.seen.map(({ request }) => request) ?? []
  expect(requests.filter((request) => request === 'POST /token')).toHaveLength(1)
  expect(requests.at(-1)).toMatch(
    /^POST \/v1\/projects\/our-project\/locations\/europe-west4\/publishers\/anthropic\/models\/claude-[^/]+:streamRawPredict$/,
  )
})
