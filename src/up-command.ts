// `errand up`: the whole installation in the foreground until Ctrl-C, and `errand down`, which ends it from elsewhere. As
// root `up` first moves into a mount namespace of its own, so that nothing that it mounts is seen by, or outlives, anything
// else.
import type { Command } from 'commander'
import { safeJson } from './cli/terminal/plain-text.ts'
import { readConfig } from './config.ts'
import { stopInstance } from './installation/instance.ts'
import type { Running } from './installation/up.ts'
import { createLogger } from './lib/logger.ts'
import { AppError } from './protocol/errors.ts'

interface UpOptions {
  data?: string
  host?: string
  port?: string
  json?: boolean
  allowUnlimited?: boolean
}

export function addUpCommand(program: Command): void {
  program
    .command('up')
    .description('start Errand: database, gateway, sandboxes, API and page')
    .option('--data <folder>', 'where everything is kept')
    .option('--host <address>', 'address to listen on; this machine alone unless told otherwise')
    .option('--port <number>', 'port to listen on; 0 takes a free one')
    .option('--allow-unlimited', 'not as root: start sandboxes also where no limit can be set')
    .option('--json', 'print one JSON object with the addresses')
    .addOption(program.createOption('--in-namespace').hideHelp())
    .action(up)
  program
    .command('down')
    .description('stop the Errand that runs here; sandboxes keep their files')
    .option('--data <folder>', 'where everything is kept')
    .option('--json', 'print JSON and nothing else')
    .action(down)
}

async function up(options: UpOptions): Promise<void> {
  const config = readConfig({
    dataDir: options.data,
    host: options.host,
    port: parsePort(options.port),
    allowUnlimited: options.allowUnlimited,
  })
  // Listened to from the first moment: whoever stops it meanwhile leaves nothing behind.
  const told = untilTold()
  const { startErrand } = await import('./installation/up.ts')
  const running = await startErrand(config, createLogger('up', config.logLevel))
  const { url, loginUrl } = running
  process.stdout.write(options.json ? `${JSON.stringify({ url, loginUrl })}\n` : greeting(running))
  await told
  await running.stop()
}

async function down({ data, json }: UpOptions): Promise<void> {
  const pid = await stopInstance(readConfig({ dataDir: data }))
  const said =
    pid === undefined ? 'Errand does not run here.' : `Errand (process ${pid}) has ended.`
  process.stdout.write(json ? `${safeJson({ stopped: pid !== undefined })}\n` : `${said}\n`)
}

function greeting({ url, loginUrl, followsKilled, refusal }: Running): string {
  return [
    ...(followsKilled
      ? ['The last Errand here did not end in order. Its sessions and sandboxes were taken over.']
      : []),
    `Errand runs at ${url}`,
    `Log in once with this link (15 minutes): ${loginUrl}`,
    ...(refusal === null ? [] : [`No session can start. ${refusal}`]),
    'Stop with Ctrl-C, or errand down; sandboxes keep their files.',
    '',
  ].join('\n')
}

function untilTold(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
      process.once(signal, () => resolve())
  })
}

function parsePort(value: string | undefined): number | undefined {
  if (value === undefined) return undefined
  const port = Number(value)
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port
  throw new AppError(
    'invalid',
    'invalid_port',
    `"${value}" is not a port. Give a number from 0 to 65535.`,
  )
}
