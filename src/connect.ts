// How the command line reaches Errand: the one that the variables name, the one that runs here, or one that is started.
import { spawn } from 'node:child_process'
import { mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Connection } from './cli/deps.ts'
import { createClient } from './client/client.ts'
import { type Config, inheritedEnvironment, readRemote } from './config.ts'
import { AppError, type ErrorBody } from './protocol/errors.ts'
import { findInstance } from './up.ts'

export interface Started {
  url: string
  loginUrl: string
}

export async function connect(config: Config, { start }: { start: boolean }): Promise<Connection> {
  const remote = readRemote()
  if (remote) return connectionTo(remote.url, remote.token)
  const running = await findInstance(config)
  if (running) return connectionTo(running.url, running.token)
  if (!start) {
    throw new AppError(
      'unavailable',
      'errand_not_running',
      'Errand does not run here. Start it with: errand up',
    )
  }
  await startInBackground(config)
  const started = await findInstance(config)
  if (!started)
    throw new AppError('internal', 'errand_not_found', 'Errand was started and is not found.')
  return connectionTo(started.url, started.token)
}

/** Starts `errand up` apart from this terminal; resolves when it is ready. Its log is below the data folder. */
export async function startInBackground({ codeDir, dataDir, port }: Config): Promise<Started> {
  const logDir = join(dataDir, 'log')
  mkdirSync(logDir, { recursive: true, mode: 0o700 })
  const log = openSync(join(logDir, 'errand.log'), 'a', 0o600)
  const args = [
    join(codeDir, 'src/main.ts'),
    'up',
    '--data',
    dataDir,
    '--port',
    String(port),
    '--notify-fd',
    '3',
  ]
  const child = spawn(process.execPath, args, {
    detached: true,
    stdio: ['ignore', log, log, 'pipe'],
    env: inheritedEnvironment(),
  })
  child.unref()
  const notice = child.stdio[3]
  if (!notice || !('on' in notice))
    throw new AppError('internal', 'notify_pipe', 'Errand could not be started.')
  const said = await text(notice as NodeJS.ReadableStream)
  if (said === '') {
    throw new AppError(
      'unavailable',
      'start_failed',
      `Errand could not be started. Its log is ${join(logDir, 'errand.log')}`,
    )
  }
  const result: Started | ErrorBody = JSON.parse(said)
  if ('url' in result) return result
  throw new AppError(result.error.code, result.error.reason, result.error.message)
}

function connectionTo(baseUrl: string, token: string): Connection {
  return { baseUrl, token, client: createClient({ baseUrl, token }) }
}
