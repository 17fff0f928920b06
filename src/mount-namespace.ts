// Moves this program into a mount namespace of its own, where what it mounts is seen by, and outlives, nobody else. Imports
// little, since it is done before anything else is loaded.
import { AppError } from './protocol/errors.ts'

const UNSHARE = '/usr/bin/unshare'
/** As root these mount something. */
const COMMANDS = ['up', 'backup', 'restore']
const INSIDE = '--in-namespace'
const MOUNTS_NOTHING = [INSIDE, '--help', '-h']

/** Replaces this process where the command of these arguments needs it; the same program goes on there. */
export function enterMountNamespace(args: readonly string[]): void {
  const isNeeded =
    COMMANDS.includes(args[0] ?? '') && !args.some((arg) => MOUNTS_NOTHING.includes(arg))
  if (!isNeeded || process.getuid?.() !== 0) return
  const options = ['--mount', '--propagation', 'slave', '--']
  const program = [process.execPath, ...process.execArgv, process.argv[1] ?? '', ...args, INSIDE]
  process.execve?.(UNSHARE, [UNSHARE, ...options, ...program])
  throw new AppError('internal', 'mount_namespace', 'The mount namespace could not be entered.')
}
