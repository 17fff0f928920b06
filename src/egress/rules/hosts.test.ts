import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { authorityText, hostText, parseAuthority, parseHost } from './hosts.ts'

describe('parseHost', () => {
  it.each([
    ['example.org', 'example.org'],
    ['EXAMPLE.Org.', 'example.org'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['_dmarc.example.org', '_dmarc.example.org'],
    ['ｅxample。org', 'example.org'],
    ['localhost', 'localhost'],
  ])('reads %s as the name %s', (text, name) => {
    expect(parseHost(text)).toEqual({ kind: 'name', name })
  })

  it.each([
    ['127.0.0.1', '127.0.0.1'],
    ['127.0.0.1.', '127.0.0.1'],
    ['2130706433', '127.0.0.1'],
    ['0x7f000001', '127.0.0.1'],
    ['0x7f.1', '127.0.0.1'],
    ['0177.0.0.01', '127.0.0.1'],
    ['127.1', '127.0.0.1'],
    ['１６９.254.169.254', '169.254.169.254'],
    ['[::1]', '::1'],
    ['::ffff:169.254.169.254', '::ffff:a9fe:a9fe'],
    ['[0:0:0:0:0:0:0:1]', '::1'],
    ['fd00:EC2::254', 'fd00:ec2::254'],
  ])('reads %s as the address %s', (text, address) => {
    expect(parseHost(text)).toEqual({ kind: 'address', address })
  })

  it.each([
    '',
    '.',
    '..',
    'a..b',
    '.example.org',
    'example.org..',
    '-a.example',
    'a-.example',
    'exa%6dple.org',
    'user@example.org',
    'a b',
    'example.org/',
    'example.org\\@x',
    'example.org#x',
    'example.org\0',
    'example.org\n',
    '*.example.org',
    'foo.0x7f',
    '256.256.256.256',
    '1.2.3.4.5',
    '[::1%eth0]',
    'fe80::1%eth0',
    '[127.0.0.1]',
    '[example.org]',
    `${'a'.repeat(64)}.example`,
    `${'a.'.repeat(130)}org`,
  ])('refuses %j', (text) => {
    expect(parseHost(text)).toEqual({ kind: 'invalid' })
  })

  it('is stable: what it gives out it reads the same way again', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.domain(), fc.ipV4Extended(), fc.ipV6()), (text) => {
        const host = parseHost(text)
        if (host.kind !== 'invalid') expect(parseHost(hostText(host))).toEqual(host)
      }),
    )
  })

  it('never takes for a name what a URL parser takes for an address', () => {
    fc.assert(
      fc.property(fc.ipV4Extended(), (text) => {
        expect(parseHost(text).kind).toBe('address')
      }),
    )
  })
})

describe('parseAuthority', () => {
  it('reads host and port', () => {
    expect(parseAuthority('example.org:443')).toEqual({
      host: { kind: 'name', name: 'example.org' },
      port: 443,
    })
    expect(parseAuthority('[::1]:80')?.port).toBe(80)
    expect(parseAuthority('example.org')?.port).toBeNull()
  })

  it.each(['', ':80', 'a:0', 'a:65536', 'a:99999999', 'a:80:80', 'a:', '::1:80', 'a:+80', 'a: 80'])(
    'refuses %j',
    (text) => {
      expect(parseAuthority(text)).toBeNull()
    },
  )

  it('gives IPv6 its brackets back', () => {
    expect(authorityText('::1', 80)).toBe('[::1]:80')
    expect(authorityText('example.org', 80)).toBe('example.org:80')
  })
})
