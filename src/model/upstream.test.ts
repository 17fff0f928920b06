import { describe, expect, it } from 'vitest'
import { authHeaders, readUpstream } from './upstream.ts'

describe('readUpstream', () => {
  it('knows no upstream without key or token', () => {
    expect(readUpstream({})).toBeUndefined()
    expect(readUpstream({ ANTHROPIC_API_KEY: ' ', ANTHROPIC_BASE_URL: 'http://x' })).toBeUndefined()
  })

  it('takes the public endpoint unless told otherwise', () => {
    expect(readUpstream({ ANTHROPIC_API_KEY: 'sk-1' })).toEqual({
      baseUrl: 'https://api.anthropic.com',
      auth: [{ kind: 'api_key', value: 'sk-1' }],
    })
  })

  it('keeps a path before the API and drops slashes behind it', () => {
    const upstream = readUpstream({
      ANTHROPIC_AUTH_TOKEN: 't',
      ANTHROPIC_BASE_URL: 'https://models.example/anthropic//',
    })
    expect(upstream?.baseUrl).toBe('https://models.example/anthropic')
    expect(upstream && authHeaders(upstream)).toEqual({ authorization: 'Bearer t' })
  })

  it('sends both when both are set, as Claude Code does', () => {
    const upstream = readUpstream({ ANTHROPIC_API_KEY: 'k', ANTHROPIC_AUTH_TOKEN: 't' })
    expect(upstream && authHeaders(upstream)).toEqual({
      'x-api-key': 'k',
      authorization: 'Bearer t',
    })
  })

  it.each(['ftp://x', 'nonsense', 'https://user:pw@x', 'https://x/?a=1'])(
    'refuses the base URL %s',
    (url) => {
      const read = () => readUpstream({ ANTHROPIC_API_KEY: 'k', ANTHROPIC_BASE_URL: url })
      expect(read).toThrow(expect.objectContaining({ reason: 'model_base_url_invalid' }))
    },
  )

  it('refuses a key that is no header value without repeating it', () => {
    const read = () => readUpstream({ ANTHROPIC_API_KEY: 'sk-secret\nx-evil: 1' })
    expect(read).toThrow(expect.objectContaining({ reason: 'model_key_invalid' }))
    expect(read).not.toThrow(/secret/)
  })
})
