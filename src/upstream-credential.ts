// The credential with which git reaches a session's upstream, opened for one request.
import type { UpstreamCredential } from './git/upstream/credential.ts'
import type { Repository } from './protocol/session.ts'
import type { Credential, CredentialStore } from './store/credentials.ts'

export async function findUpstreamCredential(
  credentials: CredentialStore,
  ownerId: string,
  { source }: Repository,
): Promise<UpstreamCredential | undefined> {
  if (source.kind !== 'remote' || source.credentialId === null) return undefined
  const credential = await credentials.get(ownerId, source.credentialId)
  return credential && openCredential(credentials, credential)
}

export async function openCredential(
  credentials: Pick<CredentialStore, 'openSecret'>,
  { id, ownerId, username }: Credential,
): Promise<UpstreamCredential> {
  return { id, username, secret: await credentials.openSecret(ownerId, id) }
}
