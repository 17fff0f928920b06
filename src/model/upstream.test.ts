import { describe, expect, it } from 'vitest'
import { describeInside, isUpstream, type ModelSettings, readUpstream } from './upstream.ts'

const AWS = { AWS_ACCESS_KEY_ID: 'id', AWS_SECRET_ACCESS_KEY: 'secret' }
const ACCOUNT = JSON.stringify({
  type: 'authorized_user',
  client_id: 'id',
  client_secret: 'secret',
  refresh_token: 'refresh',
})

const read = (variables: ModelSettings['variables'], googleCredentials?: string) =>
  readUpstream({ variables, googleCredentials })

async function headersOf(variables: ModelSettings['variables']) {
  const upstream = read(variables)
  if (!isUpstream(upstream)) throw new Error(upstream.reason)
  const request = { url: `${upstream.baseUrl}/x`, body: Buffer.from('{}') }
  return upstream.authorize(request, new AbortController().signal)
}

describe('the Messages API', () => {
  it('is refused without key or token', () => {
    expect(read({})).toMatchObject({ reason: 'model_key_missing' })
    expect(read({ ANTHROPIC_API_KEY: ' ', ANTHROPIC_BASE_URL: 'http://x' })).toMatchObject({
      reason: 'model_key_missing',
    })
  })

  it('is the public endpoint unless told otherwise', async () => {
    expect(read({ ANTHROPIC_API_KEY: 'sk-1' })).toMatchObject({
      baseUrl: 'https://api.anthropic.com',
      form: { kind: 'messages' },
    })
    expect(await headersOf({ ANTHROPIC_API_KEY: 'sk-1' })).toEqual({ 'x-api-key': 'sk-1' })
  })

  it('keeps a path before the API and drops slashes behind it', async () => {
    const variables = {
      ANTHROPIC_AUTH_TOKEN: 't',
      ANTHROPIC_BASE_URL: 'https://models.example/anthropic//',
    }
    expect(read(variables)).toMatchObject({ baseUrl: 'https://models.example/anthropic' })
    expect(await headersOf(variables)).toEqual({ authorization: 'Bearer t' })
  })

  it('gets both when both are set, as from Claude Code', async () => {
    expect(await headersOf({ ANTHROPIC_API_KEY: 'k', ANTHROPIC_AUTH_TOKEN: 't' })).toEqual({
      'x-api-key': 'k',
      authorization: 'Bearer t',
    })
  })

  it.each([
    { CLAUDE_CODE_OAUTH_TOKEN: 'sk-ant-oat01-x' },
    { ANTHROPIC_API_KEY: 'sk-ant-oat01-x' },
    { ANTHROPIC_AUTH_TOKEN: 'sk-ant-oat01-x' },
  ])('gets no token of a subscription: %o', (variables) => {
    expect(read(variables)).toMatchObject({ reason: 'model_subscription_token' })
  })

  it('is used with a key beside such a token', () => {
    const upstream = read({ ANTHROPIC_API_KEY: 'k', CLAUDE_CODE_OAUTH_TOKEN: 'sk-ant-oat01-x' })
    expect(upstream).toMatchObject({ form: { kind: 'messages' } })
  })

  it.each(['ftp://x', 'nonsense', 'https://user:pw@x', 'https://x/?a=1'])(
    'has no base URL such as %s',
    (url) => {
      const reading = () => read({ ANTHROPIC_API_KEY: 'k', ANTHROPIC_BASE_URL: url })
      expect(reading).toThrow(expect.objectContaining({ reason: 'model_base_url_invalid' }))
    },
  )

  it('refuses a key that is no header value without repeating it', () => {
    const reading = () => read({ ANTHROPIC_API_KEY: 'sk-secret\nx-evil: 1' })
    expect(reading).toThrow(expect.objectContaining({ reason: 'model_key_invalid' }))
    expect(reading).not.toThrow(/secret/)
  })
})

describe('Bedrock', () => {
  const variables = { CLAUDE_CODE_USE_BEDROCK: '1', AWS_REGION: 'eu-west-3', ...AWS }

  it('is asked in its region and signed for', async () => {
    expect(read(variables)).toMatchObject({
      baseUrl: 'https://bedrock-runtime.eu-west-3.amazonaws.com',
      form: { kind: 'bedrock', region: 'eu-west-3' },
    })
    const headers = await headersOf({ ...variables, AWS_SESSION_TOKEN: 'passing' })
    expect(headers.authorization).toMatch(
      /^AWS4-HMAC-SHA256 Credential=id\/\d{8}\/eu-west-3\/bedrock\/aws4_request, SignedHeaders=host;x-amz-date;x-amz-security-token,/,
    )
    expect(headers['x-amz-security-token']).toBe('passing')
    expect(JSON.stringify(headers)).not.toContain('secret')
  })

  it('takes an API key of its own instead', async () => {
    const bearer = { CLAUDE_CODE_USE_BEDROCK: 'true', AWS_BEARER_TOKEN_BEDROCK: 'b' }
    expect(await headersOf(bearer)).toEqual({ authorization: 'Bearer b' })
  })

  it('says what is missing, and that roles are not looked up', () => {
    expect(read({ CLAUDE_CODE_USE_BEDROCK: '1', ANTHROPIC_API_KEY: 'k' })).toMatchObject({
      reason: 'model_key_missing',
      message: expect.stringContaining('AWS_ACCESS_KEY_ID'),
    })
  })

  it('is told to sandboxes with the region and the names of models, and no key', () => {
    const inside = describeInside({ variables: { ...variables, ANTHROPIC_MODEL: 'opus' } })
    expect(inside).toEqual({
      form: { kind: 'bedrock', region: 'eu-west-3' },
      names: { AWS_REGION: 'eu-west-3', ANTHROPIC_MODEL: 'opus' },
    })
  })
})

describe('Vertex', () => {
  const variables = { CLAUDE_CODE_USE_VERTEX: '1', ANTHROPIC_VERTEX_PROJECT_ID: 'p' }

  it.each([
    [undefined, 'https://us-east5-aiplatform.googleapis.com/v1'],
    ['global', 'https://aiplatform.googleapis.com/v1'],
    ['eu', 'https://aiplatform.eu.rep.googleapis.com/v1'],
  ])('is asked in its region: %s', (region, baseUrl) => {
    const upstream = read({ ...variables, CLOUD_ML_REGION: region }, ACCOUNT)
    expect(upstream).toMatchObject({ baseUrl, form: { kind: 'vertex', project: 'p' } })
  })

  it('wants a project and a file of credentials', () => {
    expect(read(variables)).toMatchObject({ reason: 'model_key_missing' })
    expect(read({ CLAUDE_CODE_USE_VERTEX: '1' }, ACCOUNT)).toMatchObject({
      reason: 'model_key_missing',
    })
  })

  it.each(['no json', '{}', '{"type":"external_account"}'])('refuses the file %s', (file) => {
    expect(() => read(variables, file)).toThrow(
      expect.objectContaining({ reason: 'model_credentials_invalid' }),
    )
  })
})

it('says how to use Foundry', () => {
  expect(read({ CLAUDE_CODE_USE_FOUNDRY: '1' })).toMatchObject({
    reason: 'model_provider_unsupported',
  })
})
