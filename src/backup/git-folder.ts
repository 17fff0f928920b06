// The repositories of an installation as two tar files, made and unpacked by tar as git's own user: root follows no path in
// a folder that git's user could have changed. Names (refs) are read before objects, so that what they name is there.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../protocol/errors.ts'

export const GIT_FILES = ['git-names.tar', 'git-objects.tar'] as const
const [NAMES_FILE, OBJECTS_FILE] = GIT_FILES
const REPOSITORIES = ['sessions', 'uploads', 'mirrors'] as const
const BESIDE = ['observations', 'known_hosts']
const MATCH = ['--anchored', '--wildcards', '--no-wildcards-match-slash']
const TAR_ENV = { PATH: '/usr/bin:/bin', LC_ALL: 'C' }
/** What tar says of files that went away while it read. */
const GONE =
  /File removed before we read it|Cannot stat: No such file or directory|file changed as we read it|^tar: Exiting with failure status|^tar: Error exit delayed/
const MOST_TRIES = 5

/** May be done while git is at work: what is added meanwhile may or may not be in. */
export async function packRepositories(gitFolder: string, folder: string): Promise<void> {
  const owner = await ownerOf(gitFolder)
  const present = new Set(await readdir(gitFolder))
  const parts = [...REPOSITORIES, ...BESIDE].filter((name) => present.has(name))
  const excluded = ['objects', 'base.git/objects'].map((name) => `--exclude=*/*.git/${name}`)
  await tar([...MATCH, ...excluded, '--exclude=*/*.git/*.lock', '-cf', '-', '--', ...parts], {
    ...{ owner, cwd: gitFolder, output: join(folder, NAMES_FILE) },
  })
  for (let tries = 1; ; tries++) {
    const listed = await objectFolders(gitFolder)
    const unfinished = ['tmp_objdir-*', 'pack/tmp_*', 'pack/.tmp-*'].flatMap((name) => [
      `--exclude=*/*.git/objects/${name}`,
      `--exclude=*/*.git/base.git/objects/${name}`,
    ])
    const vanished = await tar([...MATCH, ...unfinished, '--null', '-cf', '-', '-T', '-'], {
      ...{ owner, cwd: gitFolder, output: join(folder, OBJECTS_FILE) },
      input: listed.map((path) => `${path}\0`).join(''),
    })
    // Packs may have been joined between the look at a folder and at its files.
    if (!vanished || tries === MOST_TRIES) return
  }
}

export async function unpackRepositories(folder: string, gitFolder: string): Promise<void> {
  const owner = await ownerOf(gitFolder)
  for (const name of [OBJECTS_FILE, NAMES_FILE])
    await tar(['-xf', '-', '--no-same-owner', '-p'], {
      ...{ owner, cwd: gitFolder, inputFile: join(folder, name) },
    })
}

async function objectFolders(gitFolder: string): Promise<string[]> {
  const found: string[] = []
  for (const kind of REPOSITORIES) {
    for (const name of await namesIn(join(gitFolder, kind))) {
      if (!/^[a-z0-9_]+(\.[A-Za-z0-9._-]+)?\.git$/.test(name)) continue
      const inside = await namesIn(join(gitFolder, kind, name))
      if (inside.includes('objects')) found.push(`${kind}/${name}/objects`)
      if (inside.includes('base.git')) found.push(`${kind}/${name}/base.git/objects`)
    }
  }
  return found
}

async function namesIn(path: string): Promise<string[]> {
  try {
    return await readdir(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

async function ownerOf(path: string): Promise<{ uid: number; gid: number } | undefined> {
  const { uid, gid } = await stat(path)
  return process.getuid?.() === 0 ? { uid, gid } : undefined
}

interface TarRun {
  owner: { uid: number; gid: number } | undefined
  /** Entered before the user is changed: folders above it may be closed to that user. */
  cwd: string
  output?: string
  input?: string
  inputFile?: string
}

/** True when something went away while it was read. */
async function tar(
  args: string[],
  { owner, cwd, output, input, inputFile }: TarRun,
): Promise<boolean> {
  const to = output === undefined ? undefined : await open(output, 'w', 0o600)
  const from = inputFile === undefined ? undefined : await open(inputFile, 'r')
  try {
    const child = spawn('tar', args, {
      ...{ ...owner, cwd, env: TAR_ENV },
      stdio: [from?.fd ?? 'pipe', to?.fd ?? 'ignore', 'pipe'],
    })
    let stderr = ''
    child.stderr?.on('data', (chunk: Buffer) => {
      stderr = (stderr + chunk.toString()).slice(-100_000)
    })
    // It says itself why it did not read all.
    child.stdin?.on('error', () => undefined)
    child.stdin?.end(input)
    const [code] = (await once(child, 'close')) as [number | null]
    if (code === 0) return false
    const lines = stderr.trim().split('\n')
    if (output !== undefined && code !== null && code < 3 && lines.every((line) => GONE.test(line)))
      return lines.some((line) => !/file changed as we read it|^tar: E/.test(line))
    const why = lines.slice(-3).join('; ')
    throw new AppError(
      'internal',
      'backup_git_failed',
      `The repositories could not be copied: ${why}`,
    )
  } finally {
    await to?.close()
    await from?.close()
  }
}
