// Where gitd keeps what: every path below its data folder is built here, and only from checked ids.
import { createHash } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../protocol/errors.ts'
import { idPattern } from '../protocol/ids.ts'
import { repositoryNameSchema } from '../protocol/session.ts'

export interface GitPaths {
  home: string
  hooks: string
  mirrors: string
  sessions: string
  uploads: string
  temporary: string
  /** What was found where a repository should be. */
  aside: string
  observations: string
  knownHosts: string
  session(which: SessionRepository): string
  /** The session that a folder in `sessions` belongs to. */
  sessionOf(folderName: string): string
  upload(uploadId: string): string
  mirror(key: MirrorKey): string
}

/** One of a session's repositories: the main one, or by its name an additional one. */
export interface SessionRepository {
  sessionId: string
  repository?: string | null
}

/** A mirror belongs to one owner and one credential, and holds only what that credential may read. */
export interface MirrorKey {
  url: string
  ownerId: string
  credentialId: string | null
}

const SESSION = idPattern('session')
const UPLOAD = idPattern('upload')

export function createPaths(root: string): GitPaths {
  const folder = (name: string) => join(root, name)
  return {
    home: folder('home'),
    hooks: folder('hooks'),
    mirrors: folder('mirrors'),
    sessions: folder('sessions'),
    uploads: folder('uploads'),
    temporary: folder('tmp'),
    aside: folder('aside'),
    observations: folder('observations'),
    knownHosts: folder('known_hosts'),
    session: ({ sessionId, repository }) => {
      const own = checked(sessionId, SESSION, 'session')
      const name = repository == null ? own : `${own}.${checkedName(repository)}`
      return join(root, 'sessions', `${name}.git`)
    },
    sessionOf: (folderName) => folderName.split('.', 1)[0] ?? '',
    upload: (id) => join(root, 'uploads', `${checked(id, UPLOAD, 'upload')}.git`),
    mirror: (key) => join(root, 'mirrors', `${mirrorName(key)}.git`),
  }
}

export async function makeFolders(paths: GitPaths): Promise<void> {
  const folders = [
    paths.home,
    paths.hooks,
    paths.mirrors,
    paths.sessions,
    paths.uploads,
    paths.temporary,
    paths.aside,
    paths.observations,
  ]
  for (const folder of folders) await mkdir(folder, { recursive: true, mode: 0o700 })
}

function mirrorName({ url, ownerId, credentialId }: MirrorKey): string {
  return createHash('sha256')
    .update(JSON.stringify([url, ownerId, credentialId]))
    .digest('hex')
    .slice(0, 40)
}

function checkedName(name: string): string {
  if (!repositoryNameSchema.safeParse(name).success)
    throw new AppError(
      'invalid',
      'repository_name_invalid',
      'This is not the name of a repository.',
    )
  return name
}

function checked(id: string, pattern: RegExp, kind: string): string {
  if (!pattern.test(id))
    throw new AppError('invalid', `${kind}_id_invalid`, `This is not a ${kind} id.`)
  return id
}
