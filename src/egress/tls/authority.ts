// This installation's certificate authority: made once, and used by the gateway alone to end TLS on behalf of sandboxes, which
// trust it. Its certificate names no hosts: those that it is needed for come and go with rules and credentials, and nobody but
// the sandboxes of this installation trusts it. What this does not protect against: who reads the key can pretend to be any
// host towards these sandboxes. It vouches for nothing outside.
import 'reflect-metadata'
import { randomBytes, webcrypto, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { createSecureContext } from 'node:tls'
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  X509Certificate as ParsedCertificate,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from '@peculiar/x509'

export interface Authority {
  /** PEM. */
  certificate: string
  /** PEM, PKCS #8. */
  key: string
}

/** What a server of TLS shows of itself, for one host. PEM; the certificate with its authority's. */
export interface Leaf {
  key: string
  cert: string
  minVersion: 'TLSv1.2'
}
export type LeafFor = (host: string) => Promise<Leaf>

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const DAY_MS = 24 * 3_600_000
const AUTHORITY_DAYS = 3650
const LEAF_MS = 2 * DAY_MS
/** A clock inside or outside may be late. */
const EARLIER_MS = DAY_MS
const MOST_LEAVES = 500

export async function makeAuthority(nowMs: number): Promise<Authority> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: `CN=Errand sandboxes ${randomBytes(4).toString('hex')}`,
    notBefore: new Date(nowMs - EARLIER_MS),
    notAfter: new Date(nowMs + AUTHORITY_DAYS * DAY_MS),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      // No authority below it.
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      await SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey))
  return { certificate: certificate.toString('pem'), key: pem(key) }
}

/** Certificates for hosts, each good for two days and made anew after one; one key for all of this program's life. */
export async function createLeaves(authority: Authority, now: () => number): Promise<LeafFor> {
  const issuer = new ParsedCertificate(authority.certificate)
  const signingKey = await readKey(authority)
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const key = pem(Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)))
  const made = new Map<string, { leaf: Promise<Leaf>; untilMs: number }>()
  const make = async (host: string) => {
    const leaf = await X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      subject: 'CN=Errand gateway',
      issuer: issuer.subject,
      notBefore: new Date(now() - EARLIER_MS),
      notAfter: new Date(now() + LEAF_MS),
      publicKey: keys.publicKey,
      signingKey,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new SubjectAlternativeNameExtension([{ type: isIP(host) ? 'ip' : 'dns', value: host }]),
        new BasicConstraintsExtension(false, undefined, true),
        new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      ],
    })
    const cert = `${leaf.toString('pem')}\n${authority.certificate}`
    return { key, cert, minVersion: 'TLSv1.2' as const }
  }
  return (host) => {
    const found = made.get(host)
    made.delete(host)
    const isGood = found && found.untilMs > now()
    const entry = isGood ? found : { leaf: make(host), untilMs: now() + LEAF_MS / 2 }
    // The one that was used last stands at the end.
    made.set(host, entry)
    const [oldest] = made.keys()
    if (made.size > MOST_LEAVES && oldest !== undefined) made.delete(oldest)
    return entry.leaf
  }
}

/** Whether the key is the certificate's, and both are what they should be. */
export function isWhole({ certificate, key }: Authority): boolean {
  try {
    const parsed = new X509Certificate(certificate)
    createSecureContext({ cert: certificate, key })
    return parsed.ca
  } catch {
    return false
  }
}

async function readKey({ key }: Authority): Promise<webcrypto.CryptoKey> {
  const der = Buffer.from(key.replace(/-----[^-]+-----/g, ''), 'base64')
  return webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign'])
}

function pem(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? []
  return `-----BEGIN PRIVATE KEY-----\n${lines.join('\n')}\n-----END PRIVATE KEY-----\n`
}

/** Positive, as RFC 5280 asks. */
function serialNumber(): string {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40
  return bytes.toString('hex')
}
