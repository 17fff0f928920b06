// Structured logs of the programs, one JSON object a line on stderr. Never logs a request body or a header value.
import { type Logger, pino } from 'pino'

export type { Logger }

export function createLogger(program: string, level: string): Logger {
  return pino(
    { name: program, level, base: { name: program } },
    pino.destination({ dest: 2, sync: true }),
  )
}

/** A logger that writes nothing, for tests. */
export function createSilentLogger(): Logger {
  return pino({ level: 'silent' })
}
