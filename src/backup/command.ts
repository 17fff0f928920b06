// `errand backup` and `errand restore`: a whole installation into one file, and out of it into a new data folder.
import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Cli } from '../cli/command.ts'
import { formatCount } from '../cli/terminal/format.ts'
import { plainLine, safeJson } from '../cli/terminal/plain-text.ts'
import { type Config, readConfig } from '../config.ts'
import { createLogger, type Logger } from '../lib/logger.ts'
import { shellWord } from '../lib/shell-quote.ts'
import type { BackupManifest } from './archive.ts'
import { interruptible } from './interruptible.ts'

interface BackupOptions {
  data?: string
  json?: boolean
}

export interface Place {
  config: Config
  logger: Logger
  signal: AbortSignal
}
type Work = (file: string, place: Place) => Promise<BackupManifest>

export function addBackupCommands(program: Command, { deps: { stdout } }: Cli): void {
  const say = (options: BackupOptions, value: object, lines: string[]) =>
    stdout.write(options.json ? `${safeJson(value)}\n` : `${lines.join('\n')}\n`)
  addCommand(program, {
    specification: 'backup <file>',
    description: 'everything but the sandboxes into one file, also while Errand runs',
    action: async (file, options) => {
      const { createBackup } = await import('./backup.ts')
      const manifest = await perform(createBackup, file, options)
      say(options, { file: resolve(file), ...manifest }, [
        `${contentOf(manifest)} are in ${plainLine(file)}`,
        'It holds the key to your stored credentials: keep it as safe as the data folder itself.',
      ])
    },
  })
  addCommand(program, {
    specification: 'restore <file>',
    description: 'make a new data folder out of a backup',
    action: async (file, options) => {
      const { restoreBackup } = await import('./restore.ts')
      const manifest = await perform(restoreBackup, file, options)
      const { dataDir } = readConfig({ dataDir: options.data })
      say(options, { dataDir, ...manifest }, [
        `${contentOf(manifest)} of ${manifest.createdAt} are in ${plainLine(dataDir)}`,
        `Start it with: errand up${options.data === undefined ? '' : ` --data ${plainLine(shellWord(dataDir))}`}`,
      ])
    },
  })
}

interface Specification {
  specification: string
  description: string
  action(file: string, options: BackupOptions): Promise<void>
}

function addCommand(program: Command, { specification, description, action }: Specification): void {
  program
    .command(specification)
    .description(description)
    .option('--data <folder>', 'where everything is kept')
    .option('--json', 'print JSON and nothing else')
    .addOption(program.createOption('--in-namespace').hideHelp())
    .action(action)
}

function perform(work: Work, file: string, options: BackupOptions): Promise<BackupManifest> {
  const config = readConfig({ dataDir: options.data })
  const logger = createLogger('backup', 'error')
  return interruptible((signal) => work(file, { config, logger, signal }))
}

function contentOf({ tables }: BackupManifest): string {
  const { sessions = 0, events = 0, auth_users: users = 0 } = tables
  const counts = [
    formatCount(sessions, 'session'),
    formatCount(events, 'event'),
    formatCount(users, 'user'),
  ]
  return `${counts[0]}, ${counts[1]} and ${counts[2]}`
}
