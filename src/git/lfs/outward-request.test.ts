import 'reflect-metadata'
import { KeyObject, webcrypto } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { SubjectAlternativeNameExtension, X509CertificateGenerator } from '@peculiar/x509'
import { afterAll, expect, it } from 'vitest'
import { createTrust, type Trust } from '../../lib/trust.ts'
import { requestOutward } from './outward-request.ts'

const HOST = 'localhost'
const HOUR_MS = 3_600_000
const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

const { key, cert } = await makeCertificate()
const server = createServer({ key, cert }, (_, response) => response.writeHead(202).end())
server.listen(0, '127.0.0.1')
await once(server, 'listening')
const { port } = server.address() as AddressInfo
afterAll(() => void server.close())

it('reaches a host that the given authorities vouch for', async () => {
  const answer = await ask(createTrust(cert))
  answer.resume()
  expect(answer.statusCode).toBe(202)
})

it('refuses a host that no authority of this machine vouches for', async () => {
  await expect(ask(createTrust())).rejects.toMatchObject({ reason: 'lfs_host_unreachable' })
})

function ask(trust: Trust) {
  const url = new URL(`https://${HOST}:${port}/`)
  const signal = AbortSignal.timeout(20_000)
  return requestOutward({ trust }, { url, method: 'GET', headers: {}, signal }, (outgoing) =>
    outgoing.end(),
  )
}

async function makeCertificate() {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const certificate = await X509CertificateGenerator.createSelfSigned({
    name: `CN=${HOST}`,
    notBefore: new Date(Date.now() - HOUR_MS),
    notAfter: new Date(Date.now() + HOUR_MS),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [new SubjectAlternativeNameExtension([{ type: 'dns', value: HOST }])],
  })
  const key = KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' })
  return { key, cert: certificate.toString('pem') }
}
