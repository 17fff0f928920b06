// Which repository a request for large files means, and what its caller may do there: from the record here and the headers that
// the gateway sets.
import type { IncomingHttpHeaders } from 'node:http'
import { AppError } from '../../protocol/errors.ts'
import { BASE_HEADER, decodeGrants, type LfsDoorRequest, PUSH_HEADER } from '../messages.ts'
import type { GitPaths } from '../paths.ts'
import { readRecord, sessionRecordSchema, uploadRecordSchema } from '../records.ts'
import { CREDENTIAL_HEADER, decodeCredential } from '../upstream/credential.ts'
import { submoduleOf } from '../upstream/submodules.ts'
import type { LfsPlace } from './lfs-door.ts'

export async function findLfsPlace(
  paths: GitPaths,
  { kind, id, repository }: LfsDoorRequest,
  headers: IncomingHttpHeaders,
): Promise<LfsPlace> {
  const base = headers[BASE_HEADER]
  if (typeof base !== 'string' || !URL.canParse(base))
    throw new AppError('invalid', 'base_missing', 'The address of the repository is missing.')
  if (kind === 'upload') {
    const directory = paths.upload(id)
    await readRecord(directory, 'upload', uploadRecordSchema)
    return { directory, url: null, push: true, base }
  }
  const directory = paths.session({ sessionId: id, repository })
  if (kind === 'submodule') {
    const { ownerId } = await readRecord(directory, 'session', sessionRecordSchema)
    return { directory, ...submoduleOf(headers, ownerId).target, push: false, base }
  }
  const { access, outside } = await readRecord(directory, 'session', sessionRecordSchema)
  const push = access === 'write' && decodeGrants(headers[PUSH_HEADER]) !== undefined
  const credential = decodeCredential(headers[CREDENTIAL_HEADER] as string | undefined)
  return { directory, url: outside?.url ?? null, credential, push, base }
}
