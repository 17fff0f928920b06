// The outer side of a connection whose TLS is ended here: verified against the authorities of this host, its owner's own among
// them, for the very name that was asked for. There is no switch that leaves the verification out.
import type { Socket } from 'node:net'
import { isIP } from 'node:net'
import { connect, type SecureContext, type TLSSocket } from 'node:tls'
import { DeadlineError, withDeadline } from '../../lib/deadline.ts'
import { createTrust } from '../../lib/trust.ts'
import { AppError } from '../../protocol/errors.ts'

/** Rejects with AppError `upstream_certificate`, `upstream_broken` or `upstream_timeout`. */
export type SecureUpstream = (
  socket: Socket,
  host: string,
  signal: AbortSignal,
) => Promise<TLSSocket>

const HANDSHAKE_MS = 15_000

/** `authorities`: PEM certificates; those of this host when absent. */
export function createSecureUpstream(authorities?: readonly string[]): SecureUpstream {
  const trust = createTrust(authorities)
  return (socket, host, signal) =>
    withDeadline(
      'the TLS handshake with the host',
      HANDSHAKE_MS,
      (limit) => shakeHands(socket, { host, secureContext: trust() }, limit),
      signal,
    ).catch((error: unknown) => {
      socket.destroy()
      throw failureOf(host, error)
    })
}

function shakeHands(
  socket: Socket,
  { host, secureContext }: { host: string; secureContext: SecureContext },
  signal: AbortSignal,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const tls = connect({
      socket,
      secureContext,
      // No server name is sent for an address, which its certificate is checked for all the same.
      ...(isIP(host) ? { host } : { servername: host }),
      ALPNProtocols: ['http/1.1'],
    })
    const onAbort = () => tls.destroy(signal.reason as Error)
    const onClose = () => reject(new Error('the connection was closed during the handshake'))
    signal.addEventListener('abort', onAbort, { once: true })
    tls.once('close', onClose)
    tls.once('error', reject)
    tls.once('secureConnect', () => {
      signal.removeEventListener('abort', onAbort)
      tls.off('close', onClose)
      tls.off('error', reject)
      // Whoever uses it sees its 'close'.
      tls.on('error', () => undefined)
      resolve(tls)
    })
  })
}

/** OpenSSL's names of what is wrong with a certificate. */
const CERTIFICATE = /CERT|ALTNAME|SELF_SIGNED|UNABLE_TO|INVALID_CA|HOSTNAME/

function failureOf(host: string, error: unknown): AppError {
  const { code = '' } = error as NodeJS.ErrnoException
  if (error instanceof DeadlineError)
    return new AppError('timeout', 'upstream_timeout', `${host} did not end its TLS handshake`)
  if (CERTIFICATE.test(code)) {
    const message = `the certificate of ${host} is not trusted on the machine that Errand runs on (${code})`
    return new AppError('unavailable', 'upstream_certificate', message, { cause: error })
  }
  const message = `${host} broke the TLS handshake off${code ? ` (${code})` : ''}`
  return new AppError('unavailable', 'upstream_broken', message, { cause: error })
}
