// How every program of an installation begins: reads its settings, says when it is ready, answers when it is asked whether it
// lives, ends in order, and also ends when the process that started it is gone.
import { readFileSync } from 'node:fs'
import { createLogger, type Logger } from './lib/logger.ts'
import { createShutdown, type Shutdown, stopOnSignals } from './lib/shutdown.ts'
import { toAppError } from './protocol/errors.ts'

export interface ProgramContext<Settings> {
  settings: Settings
  logger: Logger
  shutdown: Shutdown
}

const SHUTDOWN_LIMIT_MS = 6_000

/** `start` resolves with what the starter is told. Exits with 1 after saying why when it rejects. */
export async function runProgram<Settings extends { logLevel: string }>(
  name: string,
  start: (context: ProgramContext<Settings>) => Promise<unknown>,
): Promise<void> {
  const path = process.argv[process.argv.indexOf('--config') + 1] ?? ''
  const settings: Settings = JSON.parse(readFileSync(path, 'utf8'))
  const logger = createLogger(name, settings.logLevel)
  const shutdown = createShutdown(SHUTDOWN_LIMIT_MS, (step, error) =>
    logger.error({ err: error, step }, 'shutdown'),
  )
  stopOnSignals(() => shutdown.run())
  process.on('disconnect', () => void shutdown.run().finally(() => process.exit(0)))
  try {
    const ready = await start({ settings, logger, shutdown })
    process.on('message', (message: { ping?: boolean }) => {
      if (message.ping) process.send?.({ pong: true })
    })
    process.send?.({ ready })
  } catch (error) {
    const { code, reason, message } = toAppError(error)
    logger.error({ err: error }, 'could not start')
    process.send?.({ failed: { code, reason, message } }, () => process.exit(1))
  }
}

/** For a program whose connections belong to many sessions: what nobody catches ends the work of one of them, not of all. */
export function outliveErrors(logger: Pick<Logger, 'error'>): void {
  process.on('uncaughtException', (err) => logger.error({ err }, 'an error was caught by nobody'))
  process.on('unhandledRejection', (err) =>
    logger.error({ err }, 'a rejection was caught by nobody'),
  )
}
