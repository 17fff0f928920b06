// The authorities that Java trusts, in a file of its own format (JKS): Java reads no PEM bundle. The password is Java's usual
// one; it protects nothing, since authorities are no secret.
import { createHash } from 'node:crypto'

/** Where Debian and Ubuntu keep it for every Java. */
export const JAVA_TRUSTSTORE = 'etc/ssl/certs/java/cacerts'

const MAGIC = 0xfeedfeed
const VERSION = 2
const TRUSTED_CERTIFICATE = 2
const PASSWORD = Buffer.from('changeit', 'utf16le').swap16()
const SALT = 'Mighty Aphrodite'

/** `certificates` are PEM blocks. */
export function javaTruststore(certificates: string[]): Buffer {
  const entries = certificates.map((pem, at) => entryOf(`errand-${at}`, derOf(pem)))
  const content = Buffer.concat([
    number(MAGIC),
    number(VERSION),
    number(entries.length),
    ...entries,
  ])
  const digest = createHash('sha1').update(PASSWORD).update(SALT).update(content).digest()
  return Buffer.concat([content, digest])
}

function entryOf(alias: string, certificate: Buffer): Buffer {
  // A time of zero, so that the same authorities are the same file.
  const time = Buffer.alloc(8)
  const parts = [text(alias), time, text('X.509'), number(certificate.length), certificate]
  return Buffer.concat([number(TRUSTED_CERTIFICATE), ...parts])
}

function derOf(pem: string): Buffer {
  return Buffer.from(pem.replace(/-----[^-]+-----/g, ''), 'base64')
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

function text(value: string): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value.length)
  return Buffer.concat([bytes, Buffer.from(value, 'latin1')])
}
