import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hostText } from '../rules/hosts.ts'
import { framingHeaders, passOnHeaders, upstreamHeaders } from './proxy-headers.ts'
import { framingFault, parseAbsoluteTarget, parseConnectTarget } from './proxy-target.ts'

const request = (headers: Record<string, string>, method = 'GET') =>
  ({
    method,
    headers,
    rawHeaders: Object.entries(headers).flat(),
  }) as never

describe('parseConnectTarget', () => {
  it('takes one host and one port', () => {
    expect(parseConnectTarget('a.example:443')).toMatchObject({ target: { port: 443 } })
    for (const url of ['a.example', 'a.example:', ':443', 'a:1:2', 'http://a:1', 'x@a:443/']) {
      const result = parseConnectTarget(url)
      const invalid = 'reason' in result || result.target.host.kind === 'invalid'
      expect(invalid, url).toBe(true)
    }
  })
})

describe('parseAbsoluteTarget', () => {
  it.each([
    ['http://a.example', 'a.example', 80, '/'],
    ['http://a.example/', 'a.example', 80, '/'],
    ['HTTP://A.example:8080/x?y=1', 'a.example', 8080, '/x?y=1'],
    ['http://a.example?q', 'a.example', 80, '/?q'],
    ['http://a.example/a/../b//c', 'a.example', 80, '/a/../b//c'],
    ['http://[2001:db8::1]:81/', '2001:db8::1', 81, '/'],
  ])('reads %s', (url, host, port, path) => {
    const result = parseAbsoluteTarget(url)
    if (!('target' in result)) throw new Error(result.reason)
    expect([hostText(result.target.host), result.target.port, result.target.path]).toEqual([
      host,
      port,
      path,
    ])
  })

  it.each([
    ['https://a.example/', 'scheme_not_supported'],
    ['ftp://a.example/', 'scheme_not_supported'],
    ['http://user@a.example/', 'invalid_target'],
    ['http://a.example:80@b.example/', 'invalid_target'],
    ['http://a.example/#x', 'invalid_target'],
    ['http:///x', 'invalid_target'],
    ['http://a.example:99999/', 'invalid_target'],
    ['/x', 'invalid_target'],
  ])('refuses %s', (url, reason) => {
    expect(parseAbsoluteTarget(url)).toMatchObject({ reason })
  })

  it('never reads another host than a URL parser does', () => {
    const part = fc.constantFrom(
      'a.example',
      'b.example',
      '@',
      ':',
      '80',
      '/',
      '\\',
      '?',
      '#',
      '%40',
      '.',
      '[::1]',
    )
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
        const url = `http://${parts.join('')}`
        const result = parseAbsoluteTarget(url)
        if (!('target' in result) || result.target.host.kind === 'invalid') return
        const parsed = new URL(url)
        const host = hostText(result.target.host)
        expect(parsed.hostname.replace(/^\[|\]$/g, '').replace(/\.$/, '')).toBe(host)
      }),
    )
  })
})

describe('framingFault', () => {
  it('wants one length with one meaning', () => {
    expect(framingFault({ 'content-length': '3' })).toBeNull()
    expect(framingFault({ 'transfer-encoding': 'Chunked' })).toBeNull()
    expect(framingFault({ 'transfer-encoding': 'chunked', 'content-length': '3' })).toBe(
      'ambiguous_length',
    )
    for (const coding of ['gzip, chunked', 'chunked, chunked', 'identity', 'xchunked', '']) {
      expect(framingFault({ 'transfer-encoding': coding })).toBe('transfer_encoding_not_supported')
    }
  })
})

describe('headers', () => {
  it('drops hop-by-hop headers and what Connection names, keeps the rest as it came', () => {
    const raw = ['X-A', '1', 'Connection', 'close, X-Hop', 'x-hop', '2', 'Proxy-Authorization', 's']
    expect(passOnHeaders([...raw, 'Set-Cookie', 'a', 'Set-Cookie', 'b', 'TE', 'trailers'])).toEqual(
      ['X-A', '1', 'Set-Cookie', 'a', 'Set-Cookie', 'b'],
    )
    expect(passOnHeaders(['Connection', 'content-length', 'Content-Length', '3'])).toEqual([
      'Content-Length',
      '3',
    ])
  })

  it('says to the upstream server which host was decided on', () => {
    const headers = upstreamHeaders(['Host', 'evil.example', 'host', 'x', 'a', 'b'], 'a.example')
    expect(headers).toEqual(['Host', 'a.example', 'a', 'b'])
  })

  it('frames the body as it came', () => {
    expect(framingHeaders(request({ 'transfer-encoding': 'chunked' }))).toEqual([
      'Transfer-Encoding',
      'chunked',
    ])
    expect(framingHeaders(request({ 'content-length': '3' }, 'POST'))).toEqual([])
    expect(framingHeaders(request({}, 'POST'))).toEqual(['Content-Length', '0'])
    expect(framingHeaders(request({}))).toEqual([])
  })
})
