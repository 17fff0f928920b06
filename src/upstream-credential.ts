// The credential with which git reaches a session's upstream, opened for one request.
import type { UpstreamCredential } from './git/upstream/credential.ts'
import { credentialKind, parseRepositoryUrl } from './git/upstream/repository-url.ts'
import type { Repository } from './protocol/session.ts'
import type { Credential, CredentialStore } from './store/credentials.ts'

/** Looked for at each use: one that is added, replaced or taken away meanwhile counts at once, also for a retry. */
export async function findUpstreamCredential(
  credentials: CredentialStore,
  ownerId: string,
  { source }: Repository,
): Promise<UpstreamCredential | undefined> {
  const parsed = source.kind === 'remote' ? parseRepositoryUrl(source.url) : undefined
  if (source.kind !== 'remote' || !parsed?.ok) return undefined
  const { host, protocol } = parsed.repository
  const place = { host, kind: credentialKind(protocol), ownId: source.credentialId }
  const credential = await credentials.find(ownerId, place)
  return credential && openCredential(credentials, credential)
}

export async function openCredential(
  credentials: Pick<CredentialStore, 'openSecret'>,
  { id, ownerId, username }: Credential,
): Promise<UpstreamCredential> {
  return { id, username, secret: await credentials.openSecret(ownerId, id) }
}
