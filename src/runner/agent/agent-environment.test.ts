import { describe, expect, it } from 'vitest'
import {
  buildVariables,
  certificateVariables,
  describeSandbox,
  transportVariables,
} from './agent-environment.ts'

const setup = {
  sessionId: 's_abcdefghijklmnopqrst',
  repository: {
    name: 'repo',
    url: 'https://forge.example/a/repo',
    commit: 'c',
    branch: 'errand/x',
    baseBranch: 'main',
  },
  variables: {},
  identity: { name: 'A', email: 'a@example.com' },
  sessionUrl: null,
}
const build = (variables: Record<string, string>, inherited: Record<string, string> = {}) =>
  buildVariables({ ...setup, variables }, inherited, transportVariables({ kind: 'messages' }))

describe('buildVariables', () => {
  it('lets an environment set what it likes, but not the way out', () => {
    const built = build({
      GIT_EDITOR: 'vi',
      MINE: '1',
      ANTHROPIC_BASE_URL: 'http://evil.example',
      ANTHROPIC_API_KEY: 'key',
      https_proxy: 'http://evil.example',
    })
    expect(built).toMatchObject({
      GIT_EDITOR: 'vi',
      MINE: '1',
      ANTHROPIC_BASE_URL: 'http://errand.internal/model',
      ANTHROPIC_API_KEY: 'errand-placeholder',
      https_proxy: 'http://errand.internal:80',
      CLAUDE_CODE_REMOTE_SESSION_ID: setup.sessionId,
    })
  })

  it('puts the own tools at the end of the path, once', () => {
    expect(build({}, { PATH: '/bin' }).PATH).toBe('/bin:/opt/errand/bin')
    expect(build({ PATH: '/a' }, { PATH: '/bin' }).PATH).toBe('/a:/opt/errand/bin')
    expect(build({ PATH: '/opt/errand/bin:/a' }).PATH).toBe('/opt/errand/bin:/a')
  })
})

describe('certificateVariables', () => {
  it('names a file only when there is one', () => {
    expect(certificateVariables(null)).toEqual({})
    expect(certificateVariables('/ca.pem')).toMatchObject({ SSL_CERT_FILE: '/ca.pem' })
  })
})

describe('describeSandbox', () => {
  it('names the branch, and the page when there is one', () => {
    expect(describeSandbox(setup)).toContain('`errand/x` (it started from `main`)')
    expect(describeSandbox(setup)).not.toContain('page of this session')
    const sessionUrl = 'https://errand.example/s/1'
    expect(describeSandbox({ ...setup, sessionUrl })).toContain(sessionUrl)
  })
})
