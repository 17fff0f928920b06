// The ground that an installation stands on: users, folders and, as root, a mount namespace of its own in which code, data
// and Node.js have short paths that every program can read, wherever the clone and the data lie.
import { randomBytes } from 'node:crypto'
import {
  chmod,
  chown,
  lstat,
  mkdir,
  open,
  readFile,
  rm,
  rmdir,
  stat,
  writeFile,
} from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { CLAIM_FILE, type Config, SYSTEM_USERS } from '../config.ts'
import { isWhole, makeAuthority } from '../egress/tls/authority.ts'
import { runChecked, runProcess } from '../lib/process.ts'
import { shellWord } from '../lib/shell-quote.ts'
import { AppError } from '../protocol/errors.ts'
import { namesIn, refuseForeignFolder, unfitFolder } from './data-folder.ts'
import { putWhole } from './put-whole.ts'

export interface Account {
  uid: number
  gid: number
}

/** The accounts of the programs; all the same when Errand runs as an ordinary user. */
export interface Accounts {
  root: Account
  server: Account
  gateway: Account
  git: Account
}

export interface Layout {
  code: string
  /** What Node.js keeps of compiled code: a folder for each user, named by its id. */
  compileCaches: string
  /** Clusters for new databases: likewise a folder for each user that runs them. */
  databaseTemplates: string
  data: string
  node: string
  postgresData: string
  postgresSockets: string
  gitData: string
  gitSocket: string
  gatewayData: string
  /** Images that were built or imported here. */
  namedImages: string
  sandboxSocket: string
  doors: string
  gatewaySocket: string
  settings: string
  keyFile: string
  /** Of the authority whose certificates end TLS towards sandboxes: its key, which the gateway alone reads, and its certificate. */
  authorityKeyFile: string
  authorityFile: string
  tokenFile: string
  /** The system's certificate authorities and those that the host's variables name, in one file. */
  caFile: string
}

const SOCKET_PATH_BYTES = 107
export const SYSTEM_CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt'

export function layoutOf({ codeDir, dataDir, runtimeDir, isRoot }: Config): Layout {
  const data = isRoot ? join(runtimeDir, 'data') : dataDir
  const code = isRoot ? join(runtimeDir, 'code') : codeDir
  const layout = {
    code,
    compileCaches: join(code, 'dist/compile-cache'),
    databaseTemplates: join(code, 'dist/database-templates'),
    data,
    node: isRoot ? join(runtimeDir, 'node') : process.execPath,
    postgresData: join(data, 'postgres'),
    postgresSockets: join(runtimeDir, 'postgres'),
    gitData: join(data, 'git'),
    gitSocket: join(runtimeDir, 'git/git.sock'),
    gatewayData: join(data, 'gateway'),
    namedImages: join(data, 'images/named'),
    sandboxSocket: join(runtimeDir, 'sandbox/sandbox.sock'),
    doors: join(runtimeDir, 'doors'),
    gatewaySocket: join(runtimeDir, 'gateway/gateway.sock'),
    settings: join(runtimeDir, 'settings'),
    keyFile: join(data, 'keys/sealing.key'),
    authorityKeyFile: join(data, 'keys/authority.key'),
    authorityFile: join(data, 'keys/authority.pem'),
    tokenFile: join(data, 'cli-token'),
    caFile: join(runtimeDir, 'certificates.pem'),
  }
  const longest = join(layout.doors, 's_aaaaaaaaaaaaaaaaaaaa/gateway.sock')
  if (Buffer.byteLength(longest) > SOCKET_PATH_BYTES) {
    const message = `The folder for sockets, ${runtimeDir}, has too long a path. Set XDG_RUNTIME_DIR to a shorter one.`
    throw new AppError('invalid', 'socket_path_too_long', message)
  }
  return layout
}

/** Makes whatever is missing of users, folders and keys. As root it needs the mount namespace already (see `isInside`). */
export async function prepareGround(config: Config, layout: Layout): Promise<Accounts> {
  // Its programs have users of their own: whatever the user who starts them leaves others to read, they need more.
  process.umask(0o022)
  const accounts = await findAccounts(config.isRoot)
  await ownFolder(dirname(config.runtimeDir), accounts.root, config.isRoot ? 0o711 : 0o700)
  await folder(config.runtimeDir, accounts.root, 0o711)
  await refuseForeignFolder(config.dataDir)
  // Root's own: whoever owned it could put a link where root makes folders at the next start.
  await folder(config.dataDir, accounts.root, 0o711).catch((error: unknown) => {
    throw unfitFolder(error, config.dataDir)
  })
  if (config.isRoot) await bindPaths(config, layout)
  await makeCaches(layout.compileCaches, Object.values(accounts))
  await makeCaches(layout.databaseTemplates, [accounts.server])
  await folder(layout.postgresData, accounts.server, 0o700)
  await folder(layout.postgresSockets, accounts.server, 0o750)
  await folder(layout.gitData, accounts.git, 0o700)
  // What is made in it gets the group of the folder: git's own user is not in it.
  const gitSockets = { uid: accounts.git.uid, gid: accounts.server.gid }
  await folder(dirname(layout.gitSocket), gitSockets, 0o2750)
  await folder(join(layout.data, 'sandboxes'), accounts.root, 0o700)
  await folder(join(layout.data, 'images'), accounts.root, 0o711)
  await folder(dirname(layout.sandboxSocket), accounts.root, 0o711)
  // Everyone may connect to a door's socket, since root inside is nobody outside: the folder keeps others away from it.
  await folder(layout.doors, accounts.gateway, 0o700)
  await folder(layout.gatewayData, accounts.gateway, 0o700)
  await folder(dirname(layout.gatewaySocket), accounts.gateway, 0o750)
  await folder(layout.settings, accounts.root, 0o711)
  await folder(dirname(layout.keyFile), { uid: accounts.root.uid, gid: accounts.server.gid }, 0o750)
  await makeKey(layout.keyFile, { uid: accounts.root.uid, gid: accounts.server.gid })
  await makeAuthorityFiles(layout, accounts)
  return accounts
}

/** Takes away what is for running programs only, the keys in their settings before all; what running sandboxes use stays. */
export async function clearRuntimeFolder(
  { runtimeDir, isRoot }: Config,
  layout: Layout,
): Promise<void> {
  await rm(layout.settings, { recursive: true, force: true })
  if (isRoot) await unbindPaths(layout)
  const mounts = await readFile('/proc/self/mountinfo', 'utf8')
  const sandboxes = await namesIn(join(runtimeDir, 'sandboxes'))
  if (mounts.includes(` ${runtimeDir}/`) || sandboxes.length > 0) return
  for (const name of await namesIn(runtimeDir)) {
    if (name !== CLAIM_FILE) await rm(join(runtimeDir, name), { recursive: true, force: true })
  }
}

/** Writes `layout.caFile`; false when the host names no authority of its own and the system's are enough. */
export async function gatherCertificates(
  { extraCaFiles }: Pick<Config, 'extraCaFiles'>,
  layout: Pick<Layout, 'caFile'>,
): Promise<boolean> {
  if (extraCaFiles.length === 0) return false
  const files = await Promise.all(
    [SYSTEM_CERTIFICATES, ...extraCaFiles].map((path) => readFile(path, 'utf8').catch(() => '')),
  )
  await writeFile(layout.caFile, [...new Set(files)].join('\n'))
  await chmod(layout.caFile, 0o644)
  return true
}

/** The settings of one program, readable by its user alone. */
export async function writeSettings(
  layout: Layout,
  program: string,
  settings: { account: Account; value: unknown },
): Promise<string> {
  const path = join(layout.settings, `${program}.json`)
  await writeFile(path, '', { mode: 0o600 })
  await chown(path, settings.account.uid, settings.account.gid)
  await writeFile(path, JSON.stringify(settings.value))
  return path
}

async function findAccounts(isRoot: boolean): Promise<Accounts> {
  if (!isRoot) {
    const self = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 }
    return { root: self, server: self, gateway: self, git: self }
  }
  const server = await systemUser(SYSTEM_USERS.server)
  const gateway = await systemUser(SYSTEM_USERS.gateway)
  const git = await systemUser(SYSTEM_USERS.git)
  // The gateway shares the server's group: the database's socket and the sealing key are open to both.
  return { root: { uid: 0, gid: 0 }, server, gateway: { uid: gateway.uid, gid: server.gid }, git }
}

async function systemUser(name: string): Promise<Account> {
  const found = await lookUpUser(name)
  if (found) return found
  const args = [
    '--system',
    '--user-group',
    '--no-create-home',
    '--home-dir',
    '/nonexistent',
    '--shell',
    '/usr/sbin/nologin',
    name,
  ]
  await runChecked('useradd', args)
  const made = await lookUpUser(name)
  if (made) return made
  throw new AppError('internal', 'system_user', `The user ${name} could not be made.`)
}

async function lookUpUser(name: string): Promise<Account | undefined> {
  const { exitCode, stdout } = await runProcess('getent', ['passwd', name])
  if (exitCode !== 0) return undefined
  const [, , uid, gid] = stdout.split(':')
  return { uid: Number(uid), gid: Number(gid) }
}

async function folder(path: string, owner: Account, mode: number): Promise<void> {
  await mkdir(path, { recursive: true })
  await chown(path, owner.uid, owner.gid)
  await chmod(path, mode)
}

/** What one user made for next time is never used by another. Where the folder cannot be made, nothing is kept. */
async function makeCaches(parent: string, accounts: Account[]): Promise<void> {
  for (const account of accounts)
    await folder(join(parent, String(account.uid)), account, 0o700).catch(() => undefined)
}

/** Whoever owns a folder above the sockets could put others in their place. */
async function ownFolder(path: string, owner: Account, mode: number): Promise<void> {
  await mkdir(path, { recursive: true, mode })
  if ((await lstat(path)).uid !== owner.uid) {
    const message = `${path} belongs to another user. Set XDG_RUNTIME_DIR to a folder of your own.`
    throw new AppError('forbidden', 'runtime_folder_foreign', message)
  }
  await chmod(path, mode)
}

async function bindPaths({ codeDir, dataDir }: Config, layout: Layout): Promise<void> {
  const { mode } = await stat(join(codeDir, 'package.json'))
  if ((mode & 0o004) === 0) {
    const message = `Other users cannot read the files in ${codeDir}, so Errand's programs could not run as users of their own. Run: chmod -R go+rX ${shellWord(codeDir)}`
    throw new AppError('forbidden', 'code_unreadable', message)
  }
  await mkdir(layout.code, { recursive: true })
  await mkdir(layout.data, { recursive: true })
  await (await open(layout.node, 'a')).close()
  await runChecked('mount', ['--bind', codeDir, layout.code])
  await runChecked('mount', ['--bind', dataDir, layout.data])
  await runChecked('mount', ['--bind', process.execPath, layout.node])
}

/** Only ever removes the empty places: what was shown there is somebody's code and data. */
async function unbindPaths({ code, data, node }: Layout): Promise<void> {
  for (const path of [code, data, node]) await runProcess('umount', ['--lazy', path])
  for (const path of [code, data]) {
    await rmdir(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error
    })
  }
  await rm(node, { force: true })
}

async function makeKey(path: string, owner: Account): Promise<void> {
  try {
    await putWhole(path, randomBytes(32), { mode: 0o640, owner })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  await chmod(path, 0o640)
}

/** Once; anew when either file is missing or they do not belong together, which the next sandboxes then trust. */
async function makeAuthorityFiles(
  { authorityKeyFile, authorityFile }: Layout,
  { root, gateway }: Accounts,
): Promise<void> {
  const [key = '', certificate = ''] = await Promise.all(
    [authorityKeyFile, authorityFile].map((path) => readFile(path, 'utf8').catch(() => '')),
  )
  if (!isWhole({ key, certificate })) {
    const made = await makeAuthority(Date.now())
    await rm(authorityKeyFile, { force: true })
    await writeFile(authorityKeyFile, made.key, { mode: 0o400, flag: 'wx' })
    await writeFile(authorityFile, made.certificate)
  }
  await chmod(authorityFile, 0o644)
  await chown(authorityKeyFile, gateway.uid, root.gid)
}
