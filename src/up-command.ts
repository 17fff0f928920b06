// `errand up`: the whole installation in the foreground until Ctrl-C. As root it first moves into a mount namespace of its
// own, so that nothing that it mounts is seen by, or outlives, anything else.
import type { Command } from 'commander'
import { inheritedEnvironment, readConfig } from './config.ts'
import { createLogger } from './lib/logger.ts'
import { AppError } from './protocol/errors.ts'
import { type Running, startErrand } from './up.ts'

interface UpOptions {
  data?: string
  host?: string
  port?: string
  json?: boolean
  inNamespace?: boolean
}

export function addUpCommand(program: Command): void {
  program
    .command('up')
    .description('start Errand: database, gateway, sandboxes, API and page')
    .option('--data <folder>', 'where everything is kept')
    .option('--host <address>', 'address to listen on; this machine alone unless told otherwise')
    .option('--port <number>', 'port to listen on; 0 takes a free one')
    .option('--json', 'print one JSON object with the addresses')
    .addOption(program.createOption('--in-namespace').hideHelp())
    .action(up)
}

/** Makes this process one of a mount namespace of its own; the same program goes on there. */
export function enterMountNamespace(args: string[]): never {
  const unshare = '/usr/bin/unshare'
  const command = [
    unshare,
    '--mount',
    '--propagation',
    'slave',
    '--',
    process.execPath,
    ...process.execArgv,
  ]
  process.execve?.(unshare, [...command, process.argv[1] ?? '', ...args], inheritedEnvironment())
  throw new AppError('internal', 'mount_namespace', 'The mount namespace could not be entered.')
}

async function up(options: UpOptions): Promise<void> {
  const config = readConfig({
    dataDir: options.data,
    host: options.host,
    port: parsePort(options.port),
  })
  if (config.isRoot && !options.inNamespace)
    enterMountNamespace([...process.argv.slice(2), '--in-namespace'])
  const logger = createLogger('up', config.logLevel)
  const running = await startErrand(config, logger)
  const { url, loginUrl } = running
  process.stdout.write(options.json ? `${JSON.stringify({ url, loginUrl })}\n` : greeting(running))
  await untilTold()
  await running.stop()
}

function greeting({ url, loginUrl }: Running): string {
  return `Errand runs at ${url}\nLog in once with this link (15 minutes): ${loginUrl}\nStop with Ctrl-C; sandboxes keep their files.\n`
}

function untilTold(): Promise<void> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve())
    process.once('SIGTERM', () => resolve())
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
