// Where everything lives and how it is set up. The only place that reads the process environment; every program of an
// installation gets its part as plain values from here.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs'
import { availableParallelism, homedir, tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { parseNetwork } from './egress/rules/addresses.ts'
import { parsePattern } from './egress/rules/hosts.ts'
import { MODEL_NAME_VARIABLES, MODEL_VARIABLES, type ModelSettings } from './model/upstream.ts'
import { branchTemplateSchema } from './protocol/branch-name.ts'
import { identitySchema } from './protocol/environment.ts'
import { AppError } from './protocol/errors.ts'
import { DEFAULT_IDLE_MINUTES } from './sessions/rules/decide.ts'
import type { GitDefaults } from './sessions/starting/git-defaults.ts'

/** The users that the programs run as when Errand is started by root; each exists for Errand alone. */
export const SYSTEM_USERS = {
  server: 'errand',
  gateway: 'errand-gateway',
  git: 'errand-git',
} as const

export interface AllowedNetwork {
  host: string
  network: string
}

export interface Config {
  /** The clone that this program runs from. */
  codeDir: string
  dataDir: string
  /** Sockets and what lives only while Errand runs; short, since a socket path may have 107 bytes. */
  runtimeDir: string
  isRoot: boolean
  host: string
  port: number
  publicUrl: string | undefined
  databaseUrl: string | undefined
  logLevel: string
  /** Folders whose root file systems an environment may name as image; none unless told. */
  rootfsDirs: string[]
  /** OCI runtime: runc, crun or runsc. */
  ociRuntime: string
  /** How many sandboxes are kept started ahead of their session. */
  standbys: number
  /** How many of them have an agent that waits. */
  standbyAgents: number
  /** What the layers that setup scripts make may take on the disk, in GiB. */
  layerGib: number
  /** From this many files on the work tree of a repository is kept as a layer. */
  checkoutFiles: number
  /** As an ordinary user: sandboxes may run where no limit can be set. */
  allowUnlimited: boolean
  /** How many sessions may work at once; further ones wait in a queue. */
  concurrency: number
  /** After how many minutes a sandbox without work is stopped; 0 for never. */
  idleMinutes: number
  /** For sessions whose environment says no other; null: Errand's own. */
  git: GitDefaults
  model: ModelSettings & ModelCaps & { isScripted: boolean }
  /** Private networks that the owner opened for named hosts. */
  allowedNetworks: AllowedNetwork[]
  /** Certificate files that the host's own variables name; carried into sandboxes. */
  extraCaFiles: string[]
  /** What the variables say in vain. */
  oddities: Oddities
}

/** What a session may take of the model. */
export interface ModelCaps {
  /** Names, with `*` for any part; all when it is empty. */
  allowed: string[]
  /** Requests of one session at the same time. */
  concurrency: number
  /** Tokens of one session, in and out, cached ones too; 0 for no limit. */
  tokens: number
  /** What one session may cost at list price, in US dollars; 0 for no limit. */
  usd: number
}

export interface Oddities {
  /** Variables that begin as Errand's do and are none. */
  unknownVariables: string[]
  /** Certificate files that are named and not there. */
  missingCaFiles: string[]
}

export interface ConfigOverrides {
  dataDir?: string
  host?: string
  port?: number
  allowUnlimited?: boolean
  model?: Config['model']
}

const CA_VARIABLES = [
  'NODE_EXTRA_CA_CERTS',
  'SSL_CERT_FILE',
  'REQUESTS_CA_BUNDLE',
  'CURL_CA_BUNDLE',
  'GIT_SSL_CAINFO',
]
/** All that this file reads, without `ERRAND_`. */
const VARIABLES = new Set([
  ...['DATA', 'HOST', 'PORT', 'PUBLIC_URL', 'LOG_LEVEL', 'URL', 'TOKEN', 'ROOTFS_DIRS'],
  ...['OCI_RUNTIME', 'STANDBYS', 'STANDBY_AGENTS', 'LAYERS_GIB', 'CHECKOUT_FILES', 'CONCURRENCY'],
  ...['ALLOW_UNLIMITED', 'BRANCH_TEMPLATE', 'GIT_IDENTITY', 'ALLOWED_NETWORKS', 'IDLE_MINUTES'],
  ...['MODEL', 'MODELS', 'MODEL_REQUESTS', 'SESSION_TOKENS', 'SESSION_USD'],
])
export const CODE_DIR = resolve(import.meta.dirname, '..')
/** In the runtime folder: holds the process id of the Errand that uses it. */
export const CLAIM_FILE = 'up.pid'
export const DEFAULT_PORT = 7777
const DEFAULT_STANDBYS = 2
const DEFAULT_STANDBY_AGENTS = 1
const DEFAULT_LAYERS_GIB = 20
const DEFAULT_MODEL_REQUESTS = 16
const DEFAULT_CHECKOUT_FILES = 10_000
const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']
/** The page and the API are at the root of their host. */
const PUBLIC_URL = { pattern: /^https?:\/\/[^/?#@]+\/?$/, example: 'https://errand.example.org' }
const REMOTE_URL = { ...PUBLIC_URL, pattern: /^https?:\/\/[^/?#@]+(\/[^?#]*)?$/ }
const DATABASE_URL = {
  // Of a socket, pg also takes the bare path.
  pattern: /^(postgres(ql)?:|socket:|\/)/,
  example: 'postgres://user:password@db.example.org/errand',
}
const MOST = 1_000
const MOST_FILES = 10_000_000
/** 30 days. */
const MOST_IDLE_MINUTES = 43_200
/** An agent waits for its model most of the time. */
const SESSIONS_PER_CPU = 4
const usualConcurrency = () => SESSIONS_PER_CPU * availableParallelism()

export function readConfig(
  overrides: ConfigOverrides = {},
  env: NodeJS.ProcessEnv = process.env,
): Config {
  const isRoot = process.getuid?.() === 0
  const publicUrl = parseUrl('ERRAND_PUBLIC_URL', env.ERRAND_PUBLIC_URL, PUBLIC_URL)
  // Empty is not given: an empty address would be all of them, an empty folder the one of the shell.
  const dataDir = resolve(overrides.dataDir || env.ERRAND_DATA || defaultDataDir(isRoot, env))
  return {
    codeDir: CODE_DIR,
    dataDir,
    runtimeDir: runtimeDirOf(dataDir, { uid: process.getuid?.() ?? 0, env }),
    isRoot,
    host: overrides.host || env.ERRAND_HOST || '127.0.0.1',
    port: overrides.port ?? parsePort(env.ERRAND_PORT),
    publicUrl: publicUrl && new URL(publicUrl).origin,
    databaseUrl: parseUrl('DATABASE_URL', env.DATABASE_URL, DATABASE_URL),
    logLevel: parseLogLevel(env.ERRAND_LOG_LEVEL),
    rootfsDirs: (env.ERRAND_ROOTFS_DIRS ?? '').split(':').filter((path) => path !== ''),
    ociRuntime: env.ERRAND_OCI_RUNTIME || 'runc',
    standbys: parseCount('ERRAND_STANDBYS', env.ERRAND_STANDBYS, DEFAULT_STANDBYS),
    standbyAgents: parseCount(
      'ERRAND_STANDBY_AGENTS',
      env.ERRAND_STANDBY_AGENTS,
      DEFAULT_STANDBY_AGENTS,
    ),
    layerGib: parseCount('ERRAND_LAYERS_GIB', env.ERRAND_LAYERS_GIB, DEFAULT_LAYERS_GIB),
    checkoutFiles: parseCount(
      'ERRAND_CHECKOUT_FILES',
      env.ERRAND_CHECKOUT_FILES,
      DEFAULT_CHECKOUT_FILES,
      { most: MOST_FILES },
    ),
    allowUnlimited: overrides.allowUnlimited ?? env.ERRAND_ALLOW_UNLIMITED === '1',
    concurrency: parseCount('ERRAND_CONCURRENCY', env.ERRAND_CONCURRENCY, usualConcurrency(), {
      least: 1,
    }),
    idleMinutes: parseCount('ERRAND_IDLE_MINUTES', env.ERRAND_IDLE_MINUTES, DEFAULT_IDLE_MINUTES, {
      most: MOST_IDLE_MINUTES,
    }),
    git: readGitDefaults(env),
    model: overrides.model ?? readModel(env),
    allowedNetworks: parseAllowedNetworks(env.ERRAND_ALLOWED_NETWORKS),
    extraCaFiles: namedCaFiles(env).filter((file) => existsSync(file)),
    oddities: findOddities(env),
  }
}

/** A running Errand that the variables name; it is used instead of the one on this machine. */
export function readRemote(
  env: NodeJS.ProcessEnv = process.env,
): { url: string; token: string } | undefined {
  const { ERRAND_TOKEN: token } = env
  const url = parseUrl('ERRAND_URL', env.ERRAND_URL, REMOTE_URL)
  if (!url) return undefined
  if (!token) {
    const message = 'ERRAND_URL is set and ERRAND_TOKEN is not. A remote Errand needs both.'
    throw new AppError('unauthenticated', 'token_missing', message)
  }
  return { url: url.replace(/\/+$/, ''), token }
}

/** What a program that the user runs through Errand, such as git, would see anyway. */
export function inheritedEnvironment(env: NodeJS.ProcessEnv = process.env): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
}

function namedCaFiles(env: NodeJS.ProcessEnv): string[] {
  return [...new Set(CA_VARIABLES.map((name) => env[name] ?? ''))].filter((file) => file !== '')
}

function findOddities(env: NodeJS.ProcessEnv): Oddities {
  return {
    unknownVariables: Object.keys(env).filter(
      (name) => name.startsWith('ERRAND_') && !VARIABLES.has(name.slice('ERRAND_'.length)),
    ),
    missingCaFiles: namedCaFiles(env).filter((file) => !existsSync(file)),
  }
}

/** Claude Code's own variables; ERRAND_MODEL=scripted says that the endpoint plays a scenario, so that it is shown. */
function readModel(env: NodeJS.ProcessEnv): Config['model'] {
  const names = [...MODEL_VARIABLES, ...MODEL_NAME_VARIABLES]
  const set = names.flatMap((name) => (env[name] ? [[name, env[name]] as const] : []))
  return {
    variables: Object.fromEntries(set),
    googleCredentials: readGoogleCredentials(env),
    isScripted: env.ERRAND_MODEL === 'scripted',
    allowed: (env.ERRAND_MODELS ?? '').split(/[\s,]+/).filter((name) => name !== ''),
    concurrency: parseCount(
      'ERRAND_MODEL_REQUESTS',
      env.ERRAND_MODEL_REQUESTS,
      DEFAULT_MODEL_REQUESTS,
      { least: 1 },
    ),
    tokens: parseCount('ERRAND_SESSION_TOKENS', env.ERRAND_SESSION_TOKENS, 0, {
      most: Number.MAX_SAFE_INTEGER,
    }),
    usd: parseCount('ERRAND_SESSION_USD', env.ERRAND_SESSION_USD, 0, { whole: false }),
  }
}

/** Read here, since only who starts Errand may read the file. */
function readGoogleCredentials(env: NodeJS.ProcessEnv): string | undefined {
  const path = env.GOOGLE_APPLICATION_CREDENTIALS
  if (!path || !env.CLAUDE_CODE_USE_VERTEX) return undefined
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    const message = `The file that GOOGLE_APPLICATION_CREDENTIALS names cannot be read: ${path}`
    throw new AppError('invalid', 'model_credentials_unreadable', message, { cause })
  }
}

export function scriptedModel(baseUrl: string): Config['model'] {
  return {
    ...readModel({}),
    variables: { ANTHROPIC_API_KEY: 'scripted', ANTHROPIC_BASE_URL: baseUrl },
    isScripted: true,
  }
}

/** The variables that `readModel` reads this from. */
export function modelVariables({ variables, isScripted }: Config['model']): Record<string, string> {
  const names = [...MODEL_VARIABLES, ...MODEL_NAME_VARIABLES]
  // An empty one hides what would be inherited.
  const all = Object.fromEntries(names.map((name) => [name, variables[name] ?? '']))
  return { ...all, ERRAND_MODEL: isScripted ? 'scripted' : '' }
}

function defaultDataDir(isRoot: boolean, env: NodeJS.ProcessEnv): string {
  if (isRoot) return '/var/lib/errand'
  return join(env.XDG_DATA_HOME || join(homeOfUser(), '.local/share'), 'errand')
}

/** A user that the machine knows no name of, as in a container, has none but what HOME says. */
function homeOfUser(): string {
  try {
    return homedir()
  } catch (cause) {
    const message = 'This user has no home folder. Set HOME, or name a folder with ERRAND_DATA.'
    throw new AppError('invalid', 'home_missing', message, { cause })
  }
}

/** One for each data folder, by whatever path that is named: two Errands on it would end each other's database. */
export function runtimeDirOf(
  dataDir: string,
  { uid, env }: { uid: number; env: NodeJS.ProcessEnv },
): string {
  const name = createHash('sha256').update(realOf(dataDir)).digest('hex').slice(0, 8)
  if (uid === 0) return join('/run/errand', name)
  const temporary = `errand-${uid}`
  const usual = env.XDG_RUNTIME_DIR
    ? join(env.XDG_RUNTIME_DIR, 'errand')
    : join(tmpdir(), temporary)
  // A shell of cron or su has other variables: what was started in another one is found all the same.
  const places = [usual, `/run/user/${uid}/errand`, join('/tmp', temporary)]
  const claimed = places.find((place) => isOwn(join(place, name, CLAIM_FILE), uid))
  return join(claimed ?? usual, name)
}

/** Without links, also where the end of it does not exist yet. */
function realOf(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return dirname(path) === path ? path : join(realOf(dirname(path)), basename(path))
  }
}

function isOwn(path: string, uid: number): boolean {
  try {
    return statSync(path).uid === uid
  } catch {
    return false
  }
}

function parsePort(value: string | undefined): number {
  if (value === undefined || value === '') return DEFAULT_PORT
  const port = Number(value)
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port
  throw new AppError(
    'invalid',
    'invalid_port',
    `ERRAND_PORT is "${value}". Give a number from 0 to 65535.`,
  )
}

/** What was given is not repeated: it may hold a password. */
function parseUrl(
  name: string,
  value: string | undefined,
  { pattern, example }: { pattern: RegExp; example: string },
): string | undefined {
  if (!value) return undefined
  if (pattern.test(value) && (value.startsWith('/') || URL.canParse(value))) return value
  throw new AppError(
    'invalid',
    `invalid_${name.toLowerCase()}`,
    `${name} is no address that can be used. Write it as ${example}.`,
  )
}

function parseLogLevel(value = ''): string {
  if (value === '') return 'warn'
  if (LOG_LEVELS.includes(value)) return value
  const message = `ERRAND_LOG_LEVEL is "${value}". Give one of ${LOG_LEVELS.join(', ')}.`
  throw new AppError('invalid', 'invalid_log_level', message)
}

function parseCount(
  name: string,
  value: string | undefined,
  usual: number,
  { least = 0, most = MOST, whole = true } = {},
): number {
  if (value === undefined || value === '') return usual
  const count = Number(value)
  if ((!whole || Number.isInteger(count)) && count >= least && count <= most) return count
  throw new AppError(
    'invalid',
    'invalid_count',
    `${name} is "${value}". Give a ${whole ? 'whole ' : ''}number from ${least} to ${most}.`,
  )
}

function readGitDefaults(env: NodeJS.ProcessEnv): GitDefaults {
  const { ERRAND_BRANCH_TEMPLATE: template, ERRAND_GIT_IDENTITY: person } = env
  if (template && !branchTemplateSchema.safeParse(template).success)
    throw new AppError(
      'invalid',
      'invalid_branch_template',
      `ERRAND_BRANCH_TEMPLATE is "${template}". Give a name of a branch, such as errand/{slug}.`,
    )
  const [, name, email] = /^([^<>]+)<([^<>]+)>$/.exec(person?.trim() ?? '') ?? []
  const identity = identitySchema.safeParse({ name, email })
  if (person && !identity.success)
    throw new AppError(
      'invalid',
      'invalid_git_identity',
      `ERRAND_GIT_IDENTITY is "${person}". Write it as git does: Ann Example <ann@example.com>.`,
    )
  return { branchTemplate: template || null, identity: identity.data ?? null }
}

/** `host=network` pairs with commas between them, such as `git.example.com=10.1.0.0/16`. */
function parseAllowedNetworks(value: string | undefined): AllowedNetwork[] {
  return (value ?? '')
    .split(',')
    .filter((pair) => pair.trim() !== '')
    .map((pair) => {
      const [host = '', network = '', ...more] = pair.trim().split('=')
      if (parsePattern(host) && parseNetwork(network) && more.length === 0) return { host, network }
      throw new AppError(
        'invalid',
        'invalid_allowed_networks',
        `ERRAND_ALLOWED_NETWORKS has "${pair}". Write host=network, such as git.example.com=10.1.0.0/16.`,
      )
    })
}
