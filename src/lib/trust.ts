// Which authorities a TLS connection of ours is checked against.
import tls, { createSecureContext, getCACertificates, type SecureContext } from 'node:tls'

/** Made when it is asked for first, and then the same: hundreds of certificates take 20 ms and more of processor time. */
export type Trust = () => SecureContext

/** `authorities`: certificates in PEM form; without them those that this machine trusts, its owner's own among them. */
export function createTrust(authorities?: string | readonly string[]): Trust {
  let context: SecureContext | undefined
  return () => {
    context ??= createSecureContext({
      ca: [authorities ?? ofThisMachine()].flat(),
      minVersion: 'TLSv1.2',
    })
    return context
  }
}

/** Also of connections that Node.js makes by itself, as `fetch` does: of this whole program, from now on. Before 24.5 it cannot. */
export function trustAsThisMachine(authorities: readonly string[] = []): void {
  tls.setDefaultCACertificates?.([...ofThisMachine(), ...authorities])
}

/** Most stand in several places of a system: none is taken twice. */
function ofThisMachine(): string[] {
  return [...new Set([...getCACertificates('default'), ...getCACertificates('system')])]
}
