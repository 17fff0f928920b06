// Runs PostgreSQL for an installation that brings no database of its own: on a unix socket only, started again when it
// dies, stopped when its parent dies (see watchdog.ts), and taken over when even the watchdog was killed.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { backoffMs } from '../../lib/backoff.ts'
import { delay } from '../../lib/deadline.ts'
import type { Logger } from '../../lib/logger.ts'
import { AppError } from '../../protocol/errors.ts'
import {
  type ClusterPlace,
  DATABASE_NAME,
  DATABASE_USER,
  ensureCluster,
  explainFailure,
  isNoSpace,
  makeOwnedFolder,
  noSpace,
  SERVER_ENV,
} from './cluster.ts'
import { sqlState } from './database-errors.ts'
import { clearLeftovers, findPostmaster, isServerProcess, stopPostmaster } from './postmaster.ts'
import { armWatchdog, waitForOtherWatchdogs } from './watchdog.ts'

export interface EmbeddedPostgresOptions extends ClusterPlace {
  /** Short, and open to nobody but the programs that may use the database: who reaches the socket is let in. */
  socketDir: string
  logger: Logger
  /** Ends the start, not the running server. */
  signal?: AbortSignal
}

export interface EmbeddedPostgres {
  connection: { host: string; user: string; database: string }
  /** Of the server that runs now. */
  pid(): number
  stop(): Promise<void>
}

/** `sun_path` holds 108 bytes with its end. */
const MOST_SOCKET_PATH_BYTES = 107
const SOCKET_NAME = '.s.PGSQL.5432'
/** After a crash PostgreSQL first replays its log, which may take minutes on a slow disk. */
const START_LIMIT_MS = 300_000
const POLL_MS = 20
const ADOPTED_POLL_MS = 500
const RESTART = { firstMs: 100, mostMs: 10_000 }
/** Tries at the socket of a server that says it is ready. */
const MOST_REFUSALS = 50
const TOO_MANY_CONNECTIONS = '53300'
const LOG_NAME = 'errand-server.log'

// Runs as the user of the server, so that the log is opened by that user. $0 is the log; one older log is kept.
const LAUNCH = 'mv -f "$0" "$0.old" 2>/dev/null; exec "$@" >"$0" 2>&1'

interface Server {
  pid: number
  /** Resolves when it has ended. */
  ended: Promise<void>
}

export async function startEmbeddedPostgres(
  options: EmbeddedPostgresOptions,
): Promise<EmbeddedPostgres> {
  const { logger, socketDir } = options
  checkSocketPath(socketDir)
  checkUser(options)
  await makeOwnedFolder(socketDir, options, 0o750)
  await ensureCluster(options, options.signal)
  const place = { ...options, dataDir: await realpath(options.dataDir) }
  await waitForOtherWatchdogs(place, options.signal)
  const watchdog = armWatchdog(place)
  const closing = new AbortController()
  let server = await startServer(place).catch(async (error: unknown) => {
    await watchdog.standDown()
    throw isNoSpace(error) ? noSpace(error) : error
  })
  const closed = once(closing.signal, 'abort')
  const supervise = async () => {
    for (;;) {
      await Promise.race([server.ended, closed])
      if (closing.signal.aborted) return
      logger.error({ pid: server.pid }, 'PostgreSQL ended without being asked; starting it again')
      server = await restart(place, closing.signal)
    }
  }
  const supervised = supervise().catch((error: unknown) => {
    if (!closing.signal.aborted) logger.error({ err: error }, 'PostgreSQL is no longer supervised')
  })
  return {
    connection: { host: socketDir, user: DATABASE_USER, database: DATABASE_NAME },
    pid: () => server.pid,
    stop: async () => {
      closing.abort(new Error('PostgreSQL is being stopped'))
      // First, because it may be starting another server right now.
      await supervised
      await stopPostmaster(server.pid, place.dataDir)
      await watchdog.standDown()
    },
  }
}

/** Refuses a folder in which the socket's path would not fit. */
export function checkSocketPath(socketDir: string): void {
  const bytes = Buffer.byteLength(join(socketDir, SOCKET_NAME))
  if (bytes <= MOST_SOCKET_PATH_BYTES) return
  const message = `the path of a unix socket has at most ${MOST_SOCKET_PATH_BYTES} bytes; ${socketDir} is too long`
  throw new AppError('invalid', 'socket_path_too_long', message)
}

function checkUser({ uid }: ClusterPlace): void {
  if (uid === 0 || (uid === undefined && process.getuid?.() === 0)) {
    throw new AppError('invalid', 'postgres_needs_user', 'PostgreSQL does not run as root')
  }
}

async function startServer(place: EmbeddedPostgresOptions): Promise<Server> {
  const server = await ensureServer(place, place.signal)
  try {
    await createDatabase(place.socketDir)
    return server
  } catch (error) {
    await stopPostmaster(server.pid, place.dataDir)
    throw error
  }
}

/** The server that is there when it is in order, or a new one. */
async function ensureServer(place: EmbeddedPostgresOptions, signal?: AbortSignal): Promise<Server> {
  const { dataDir, socketDir, logger } = place
  const found = await findPostmaster(dataDir)
  if (found) {
    const { pid } = found
    const usable = found.socketDir === socketDir && !found.outdated
    const alive = () => isServerProcess(pid, dataDir)
    if (usable && (await waitUntilReady(place, alive, signal))) {
      logger.info({ pid }, 'took over the PostgreSQL that was running')
      return { pid, ended: pollUntilGone(pid, dataDir) }
    }
    await stopPostmaster(pid, dataDir)
  }
  await clearLeftovers(dataDir, socketDir, signal)
  return launch(place, signal)
}

async function restart(place: EmbeddedPostgresOptions, signal: AbortSignal): Promise<Server> {
  for (let attempt = 0; ; attempt++) {
    await delay(backoffMs(RESTART, attempt, Math.random()), signal)
    try {
      return await ensureServer(place, signal)
    } catch (error) {
      signal.throwIfAborted()
      place.logger.error({ err: error }, 'PostgreSQL does not start')
    }
  }
}

async function launch(place: EmbeddedPostgresOptions, signal?: AbortSignal): Promise<Server> {
  const { dataDir, binDir, uid, gid } = place
  const log = join(dataDir, LOG_NAME)
  const program = join(binDir, 'postgres')
  const child = spawn('/bin/sh', ['-c', LAUNCH, log, program, ...serverArguments(place)], {
    ...{ cwd: '/', env: SERVER_ENV, uid, gid },
    stdio: 'ignore',
    detached: true,
  })
  await once(child, 'spawn')
  const ended = once(child, 'exit').then(() => undefined)
  try {
    const alive = () => child.exitCode === null && child.signalCode === null
    if (await waitUntilReady(place, alive, signal)) {
      child.unref()
      return { pid: child.pid ?? 0, ended }
    }
  } catch (error) {
    // It serves nobody yet: no need for an orderly end.
    child.kill('SIGQUIT')
    await ended
    throw error
  }
  child.kill('SIGQUIT')
  await ended
  throw explainFailure('postgres', await readFile(log, 'utf8').catch(() => ''))
}

function serverArguments({ dataDir, socketDir }: EmbeddedPostgresOptions): string[] {
  const settings = {
    listen_addresses: '',
    unix_socket_directories: socketDir,
    unix_socket_permissions: '0770',
    port: '5432',
    shared_buffers: '32MB',
    max_connections: '60',
    max_worker_processes: '4',
    max_wal_size: '256MB',
    wal_level: 'minimal',
    max_wal_senders: '0',
    max_logical_replication_workers: '0',
    jit: 'off',
    io_method: 'sync',
    fsync: 'on',
    timezone: 'UTC',
    log_timezone: 'UTC',
    // Errors of statements reach their sender; here they could hold what belongs to users and would fill the disk.
    log_min_messages: 'log',
    log_checkpoints: 'off',
  }
  const pairs = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  return ['-D', dataDir, ...pairs]
}

/** False when the server ends meanwhile or, though it says that it is ready, cannot be reached. */
async function waitUntilReady(
  { dataDir, socketDir }: EmbeddedPostgresOptions,
  alive: () => boolean | Promise<boolean>,
  signal?: AbortSignal,
): Promise<boolean> {
  const endAt = Date.now() + START_LIMIT_MS
  let refusals = 0
  while (Date.now() < endAt && refusals < MOST_REFUSALS && (await alive())) {
    signal?.throwIfAborted()
    const server = await findPostmaster(dataDir)
    if (server?.status === 'ready') {
      if (await acceptsConnections(socketDir)) return true
      refusals++
    }
    await delay(POLL_MS, signal)
  }
  return false
}

async function acceptsConnections(socketDir: string): Promise<boolean> {
  const client = new pg.Client({ ...connectionTo(socketDir), connectionTimeoutMillis: 5_000 })
  client.on('error', () => undefined)
  try {
    await client.connect()
    return true
  } catch (error) {
    // Only a server that is in order says that it has too many clients.
    return sqlState(error) === TOO_MANY_CONNECTIONS
  } finally {
    await client.end().catch(() => undefined)
  }
}

/** A server that is not our child reports its end to nobody. */
async function pollUntilGone(pid: number, dataDir: string): Promise<void> {
  while (await isServerProcess(pid, dataDir))
    await pause(ADOPTED_POLL_MS, undefined, { ref: false })
}

async function createDatabase(socketDir: string): Promise<void> {
  const client = new pg.Client(connectionTo(socketDir))
  client.on('error', () => undefined)
  await client.connect()
  try {
    const query = 'select 1 from pg_database where datname = $1'
    const { rowCount } = await client.query(query, [DATABASE_NAME])
    if (rowCount === 0) await client.query(`create database ${DATABASE_NAME}`)
  } finally {
    await client.end()
  }
}

/** The database that every server has. */
function connectionTo(socketDir: string): pg.ClientConfig {
  return { host: socketDir, user: DATABASE_USER, database: 'postgres' }
}
