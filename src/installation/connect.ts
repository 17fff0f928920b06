// How the command line reaches Errand: the one that the variables name, the one that runs here, or one that is started.
import { spawn } from 'node:child_process'
import { mkdirSync, openSync } from 'node:fs'
import http from 'node:http'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import type { Connection } from '../cli/deps.ts'
import { createClient } from '../client/client.ts'
import { type Config, inheritedEnvironment, modelVariables, readRemote } from '../config.ts'
import { delay } from '../lib/deadline.ts'
import { isLoopback } from '../lib/loopback.ts'
import { trustAsThisMachine } from '../lib/trust.ts'
import { AppError, type ErrorBody } from '../protocol/errors.ts'
import type { Instance } from '../settings.ts'
import { unfitFolder } from './data-folder.ts'
import { findInstance } from './instance.ts'

const START_LIMIT_MS = 60_000
const POLL_MS = 100

export interface Started {
  url: string
  loginUrl: string
}

export async function connect(
  readConfig: () => Config,
  { start }: { start: boolean },
): Promise<Connection> {
  const remote = readRemote()
  if (remote) {
    if (!isLoopback(remote.url)) goThroughProxy(inheritedEnvironment())
    return connectionTo(remote)
  }
  const config = readConfig()
  const running = await findInstance(config)
  if (running) return connectionTo(running)
  if (!start) {
    throw new AppError(
      'unavailable',
      'errand_not_running',
      'Errand does not run here. Start it with: errand up',
    )
  }
  try {
    await startInBackground(config)
  } catch (error) {
    // Another terminal was faster.
    if (!(error instanceof AppError) || !/^already_/.test(error.reason)) throw error
    await untilRunning(config)
  }
  return connectTo(config)
}

const PROXY_VARIABLES = ['http_proxy', 'https_proxy', 'no_proxy']

/** As the user's git does by itself, of this whole program from now on. Before 24.14 Node.js cannot. */
function goThroughProxy(env: Record<string, string>): void {
  const named = PROXY_VARIABLES.flatMap((name) => {
    const value = env[name] || env[name.toUpperCase()]
    if (!value) return []
    // Other programs take a bare `host:port` as well.
    const isBare = name !== 'no_proxy' && !value.includes('://')
    return [[name, isBare ? `http://${value}` : value]]
  })
  try {
    http.setGlobalProxyFromEnv?.(Object.fromEntries(named))
  } catch (cause) {
    const message = 'A variable for a proxy is no address: write it as http://proxy.example:3128.'
    throw new AppError('invalid', 'invalid_proxy', message, { cause })
  }
}

async function untilRunning(config: Config): Promise<void> {
  const signal = AbortSignal.timeout(START_LIMIT_MS)
  while (!(await findInstance(config)) && !signal.aborted) await delay(POLL_MS)
}

/** The Errand that runs on this data folder. */
export async function connectTo(config: Config): Promise<Connection> {
  const running = await findInstance(config)
  if (running) return connectionTo(running)
  throw new AppError(
    'unavailable',
    'errand_not_running',
    'Errand does not run on this data folder.',
  )
}

/** Starts `errand up` apart from this terminal; resolves when it is ready. Its log is below the data folder. */
export async function startInBackground({
  codeDir,
  dataDir,
  host,
  port,
  model,
  databaseUrl,
  publicUrl,
  standbys,
}: Config): Promise<Started> {
  const logFile = join(dataDir, 'log/errand.log')
  const log = openLog(logFile, dataDir)
  const args = [
    join(codeDir, 'src/main.js'),
    'up',
    '--data',
    dataDir,
    '--host',
    host,
    '--port',
    String(port),
    '--json',
  ]
  const child = spawn(process.execPath, args, {
    detached: true,
    stdio: ['ignore', 'pipe', log],
    env: {
      ...inheritedEnvironment(),
      ...modelVariables(model),
      DATABASE_URL: databaseUrl ?? '',
      ERRAND_PUBLIC_URL: publicUrl ?? '',
      ERRAND_STANDBYS: String(standbys),
    },
  })
  child.unref()
  const said = await readLine(child.stdout)
  if (said === '') {
    throw new AppError(
      'unavailable',
      'start_failed',
      `Errand could not be started. Its log is ${logFile}`,
    )
  }
  const result: Started | ErrorBody = JSON.parse(said)
  if ('url' in result) return result
  throw new AppError(result.error.code, result.error.reason, result.error.message)
}

function openLog(file: string, dataDir: string): number {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
    return openSync(file, 'a', 0o600)
  } catch (error) {
    throw unfitFolder(error, dataDir)
  }
}

function connectionTo({
  url,
  listener: baseUrl = url,
  token,
  pid,
}: Partial<Instance> & { url: string; token: string }): Connection {
  if (baseUrl.startsWith('https:')) trustAsThisMachine()
  const client = createClient({ baseUrl, token })
  return { baseUrl, pageUrl: url, token, client, isHere: pid !== undefined }
}

/** The first line, or what came before the end. The pipe stays open: grandchildren may hold it. */
async function readLine(pipe: Readable | null): Promise<string> {
  let said = ''
  for await (const chunk of pipe ?? []) {
    said += String(chunk)
    if (said.includes('\n')) break
  }
  return said.trimEnd()
}
