import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { javaTruststore } from './java-truststore.ts'

const pem = (content: string) =>
  `-----BEGIN CERTIFICATE-----\n${Buffer.from(content).toString('base64')}\n-----END CERTIFICATE-----`

describe('the trust store of Java', () => {
  const store = javaTruststore([pem('first'), pem('second one')])

  it('holds each certificate under a name of its own', () => {
    const content = store.toString('latin1')
    expect(store.readUInt32BE(0)).toBe(0xfeedfeed)
    expect(store.readUInt32BE(8)).toBe(2)
    expect(content).toContain('\0\x08errand-0')
    expect(content).toContain('\0\x05X.509\0\0\0\x05first')
    expect(content).toContain('\0\x05X.509\0\0\0\x0asecond one')
  })

  it('ends with the digest that Java checks, and is the same each time', () => {
    const password = Buffer.from('changeit', 'utf16le').swap16()
    const digest = createHash('sha1')
      .update(password)
      .update('Mighty Aphrodite')
      .update(store.subarray(0, -20))
      .digest()
    expect(store.subarray(-20)).toEqual(digest)
    expect(javaTruststore([pem('first'), pem('second one')])).toEqual(store)
  })
})
