import { BlockList } from 'node:net'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { classifyAddress, isAddressAllowed, parseAddress, parseNetwork } from './addresses.ts'

const networks = (...texts: string[]) =>
  texts.map((text) => {
    const network = parseNetwork(text)
    if (!network) throw new Error(text)
    return network
  })

describe('classifyAddress', () => {
  it.each([
    ['8.8.8.8', 'public'],
    ['192.0.2.1', 'public'],
    ['198.51.100.9', 'public'],
    ['203.0.113.77', 'public'],
    ['2001:db8::1', 'public'],
    ['2606:4700::1111', 'public'],
    ['::ffff:8.8.8.8', 'public'],
    ['64:ff9b::808:808', 'public'],
    ['10.1.2.3', 'private'],
    ['172.31.255.255', 'private'],
    ['172.32.0.0', 'public'],
    ['192.168.0.1', 'private'],
    ['fd12::1', 'private'],
    ['fec0::1', 'private'],
    ['::ffff:10.0.0.1', 'private'],
    ['64:ff9b::a00:1', 'private'],
    ['127.0.0.1', 'loopback'],
    ['127.255.255.254', 'loopback'],
    ['::1', 'loopback'],
    ['::ffff:7f00:1', 'loopback'],
    ['169.254.1.1', 'link_local'],
    ['fe80::1', 'link_local'],
    ['100.64.0.1', 'shared'],
    ['100.127.255.255', 'shared'],
    ['100.128.0.0', 'public'],
    ['198.18.0.1', 'benchmark'],
    ['198.19.255.255', 'benchmark'],
    ['198.20.0.0', 'public'],
    ['0.0.0.0', 'unspecified'],
    ['0.1.2.3', 'unspecified'],
    ['::', 'unspecified'],
    ['224.0.0.1', 'multicast'],
    ['ff02::1', 'multicast'],
    ['240.0.0.1', 'reserved'],
    ['255.255.255.255', 'reserved'],
    ['192.0.0.8', 'reserved'],
    ['::127.0.0.1', 'reserved'],
    ['::ffff:0:127.0.0.1', 'reserved'],
    ['64:ff9b:1::7f00:1', 'reserved'],
    ['2002:7f00:1::', 'reserved'],
    ['2001::1', 'reserved'],
    ['100::1', 'reserved'],
    ['4000::1', 'reserved'],
    ['169.254.169.254', 'metadata'],
    ['::ffff:a9fe:a9fe', 'metadata'],
    ['64:ff9b::169.254.169.254', 'metadata'],
    ['fd00:ec2::254', 'metadata'],
    ['100.100.100.200', 'metadata'],
    ['168.63.129.16', 'metadata'],
    ['not an address', 'invalid'],
    ['1.2.3', 'invalid'],
    ['fe80::1%eth0', 'invalid'],
  ])('%s is %s', (address, kind) => {
    expect(classifyAddress(address, [])).toBe(kind)
  })

  it("knows this host's own addresses in every form", () => {
    const own = ['203.0.113.5', '2001:db8:0:0::5']
    expect(classifyAddress('203.0.113.5', own)).toBe('host')
    expect(classifyAddress('::ffff:203.0.113.5', own)).toBe('host')
    expect(classifyAddress('2001:db8::5', own)).toBe('host')
    expect(classifyAddress('203.0.113.6', own)).toBe('public')
  })

  it('sees through mapped and translated forms of any IPv4 address', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        const kind = classifyAddress(address, [])
        expect(classifyAddress(`::ffff:${address}`, [])).toBe(kind)
        expect(classifyAddress(`64:ff9b::${address}`, [])).toBe(kind)
      }),
    )
  })
})

describe('isAddressAllowed', () => {
  it('lifts private networks that were listed, and those alone', () => {
    const listed = networks('10.20.0.0/16', 'fd12::/16', '100.64.0.0/10')
    expect(isAddressAllowed('10.20.3.4', [], listed)).toBe(true)
    expect(isAddressAllowed('::ffff:10.20.3.4', [], listed)).toBe(true)
    expect(isAddressAllowed('10.21.3.4', [], listed)).toBe(false)
    expect(isAddressAllowed('fd12::9', [], listed)).toBe(true)
    expect(isAddressAllowed('100.64.0.9', [], listed)).toBe(true)
  })

  it('never lifts metadata, loopback, multicast and the own addresses', () => {
    const everything = networks('0.0.0.0/0', '::/0')
    const own = ['10.0.0.7']
    for (const address of [
      '169.254.169.254',
      '100.100.100.200',
      'fd00:ec2::254',
      '127.0.0.1',
      '::1',
      '0.0.0.0',
      '224.0.0.1',
      '10.0.0.7',
      '::ffff:10.0.0.7',
    ]) {
      expect(isAddressAllowed(address, own, everything), address).toBe(false)
    }
    expect(isAddressAllowed('10.0.0.8', own, everything)).toBe(true)
  })
})

describe('parseAddress and parseNetwork', () => {
  it('agree with node on which addresses a network contains', () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.ipV4(), fc.integer({ min: 0, max: 32 }), (one, other, prefix) => {
        const list = new BlockList()
        list.addSubnet(one, prefix)
        const [network] = networks(`${one}/${prefix}`)
        const allowed = network ? isAddressAllowed(other, [], [network]) : false
        if (classifyAddress(other, []) === 'private') {
          expect(allowed).toBe(list.check(other))
        }
      }),
    )
  })

  it('reads every IPv6 notation alike', () => {
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        const canonical = new URL(`http://[${address}]/`).hostname.slice(1, -1)
        expect(parseAddress(address)).toEqual(parseAddress(canonical))
        expect(parseAddress(address)).toHaveLength(16)
      }),
    )
  })

  it.each(['10.0.0.0/33', '::/129', 'x/8', '10.0.0/8', '10.0.0.0/', '10.0.0.0/-1', ''])(
    'refuses the network %j',
    (text) => {
      expect(parseNetwork(text)).toBeNull()
    },
  )
})
