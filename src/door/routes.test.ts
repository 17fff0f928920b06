import { describe, expect, it } from 'vitest'
import { isDoorTunnel, isRunnerUpgrade, routeOf } from './routes.ts'

describe('routeOf', () => {
  it.each([
    ['/runner', 'runner'],
    ['/reach?at=example.org:443', 'reach'],
    ['http://example.org/reach', 'egress'],
    ['/reach/x', 'none'],
    ['/git/repository.git/info/refs?service=git-upload-pack', 'git'],
    ['/model', 'model'],
    ['/model/v1/messages?beta=true', 'model'],
    ['http://errand.internal/model/v1/messages', 'model'],
    ['HTTP://ERRAND.INTERNAL:80/git/x', 'git'],
    ['http://example.org/', 'egress'],
    ['https://example.org/', 'egress'],
    ['http://errand.internal.evil.example/git/x', 'egress'],
    ['http://errand.internal:8080/git/x', 'egress'],
    ['http://x@errand.internal/git/x', 'egress'],
    ['example.org:443', 'egress'],
    ['*', 'egress'],
    ['/', 'none'],
    ['http://errand.internal', 'none'],
    ['/models', 'none'],
    ['/runner/x', 'none'],
    ['/git', 'none'],
    ['/git/../model/v1/messages', 'none'],
    ['/git/%2e%2e/x', 'none'],
    ['/git/..%2fx', 'none'],
    ['/model/v1%2fmessages', 'none'],
    ['/model/bedrock/model/arn%3Aaws%2Fabc/invoke', 'model'],
    ['/model/bedrock/model/%2e%2e%2fx/invoke', 'none'],
    ['/git//x', 'none'],
    ['/git/\\x', 'none'],
    ['/git/x%00', 'none'],
  ])('sends %s to %s', (url, kind) => {
    expect(routeOf(url).kind).toBe(kind)
  })

  it('gives the path in origin form', () => {
    expect(routeOf('http://errand.internal/model/v1/messages?a=b')).toEqual({
      kind: 'model',
      path: '/model/v1/messages?a=b',
    })
  })
})

describe('upgrades and tunnels to the door', () => {
  it('takes one upgrade on one path', () => {
    expect(isRunnerUpgrade('GET', routeOf('/runner'), 'errand-runner')).toBe(true)
    expect(isRunnerUpgrade('POST', routeOf('/runner'), 'errand-runner')).toBe(false)
    expect(isRunnerUpgrade('GET', routeOf('/runner'), 'websocket')).toBe(false)
    expect(isRunnerUpgrade('GET', routeOf('/model'), 'errand-runner')).toBe(false)
    expect(isRunnerUpgrade('GET', routeOf('/runner'), undefined)).toBe(false)
  })

  it('knows its own name', () => {
    expect(isDoorTunnel('errand.internal:80')).toBe(true)
    expect(isDoorTunnel('Errand.Internal:80')).toBe(true)
    expect(isDoorTunnel('errand.internal:443')).toBe(false)
    expect(isDoorTunnel('x.errand.internal:80')).toBe(false)
  })
})
