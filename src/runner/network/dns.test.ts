import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { DOOR_ADDRESS, DOOR_HOST } from '../../protocol/network.ts'
import { resolveName, startDns } from './dns.ts'
import { DNS_CODE, DNS_TYPE, encodeQuery } from './dns-wire.ts'
import { createNames } from './names.ts'

const A = DNS_TYPE.A
const noName = { code: DNS_CODE.noName, records: [] }
const nothing = { code: DNS_CODE.ok, records: [] }
const addressFor = (name: string) => resolveName(createNames(), { name, type: A }).records[0]?.value

describe('resolveName', () => {
  it('has an address for every name', () => {
    expect(addressFor('registry.example')).toBe('198.18.0.2')
    expect(addressFor('intranet')).toBe('198.18.0.2')
    expect(addressFor(DOOR_HOST)).toBe(DOOR_ADDRESS)
    expect(addressFor('localhost')).toBe('127.0.0.1')
    expect(addressFor('app.localhost')).toBe('127.0.0.1')
  })

  it.each([DNS_TYPE.AAAA, 15, 16, 33, 65, 257])('has an empty answer for type %i', (type) => {
    expect(resolveName(createNames(), { name: 'a.example', type })).toEqual(nothing)
  })

  it.each(['printer.local', 'local', '', 'a b.example', '.', 'x..y', '1.0.18.198.in-addr.arpa'])(
    'does not know "%s"',
    (name) => {
      expect(resolveName(createNames(), { name, type: A })).toEqual(noName)
    },
  )

  it('names an address of ours', () => {
    const names = createNames()
    names.addressOf('a.example')
    const ask = (name: string) => resolveName(names, { name, type: DNS_TYPE.PTR })
    expect(ask('2.0.18.198.in-addr.arpa').records[0]?.value).toBe('a.example')
    expect(ask('1.1.1.1.in-addr.arpa')).toEqual(noName)
  })
})

describe('startDns', () => {
  it('answers over UDP and TCP alike', async () => {
    const dns = await startDns(createNames(), '127.0.0.1', 0)
    const query = encodeQuery(1, { name: 'a.example', type: A })

    const udp = createSocket('udp4')
    udp.send(query, dns.port, '127.0.0.1')
    const [overUdp] = await once(udp, 'message')
    udp.close()

    const tcp = connect(dns.port, '127.0.0.1')
    const length = Buffer.from([0, query.length])
    tcp.write(length)
    tcp.write(query.subarray(0, 5))
    tcp.write(query.subarray(5))
    const [overTcp] = await once(tcp, 'data')
    tcp.destroy()

    expect(overTcp.subarray(2)).toEqual(overUdp)
    expect(overUdp.subarray(-4)).toEqual(Buffer.from([198, 18, 0, 2]))
    await dns.close()
  })
})
