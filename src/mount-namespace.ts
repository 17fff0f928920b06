// Moves this program into a mount namespace of its own, where what it mounts is seen by, and outlives, nobody else.
import { inheritedEnvironment } from './config.ts'
import { AppError } from './protocol/errors.ts'

const UNSHARE = '/usr/bin/unshare'

/** Replaces this process; the same program goes on there with these arguments. */
export function enterMountNamespace(args: string[]): never {
  const options = ['--mount', '--propagation', 'slave', '--']
  const program = [process.execPath, ...process.execArgv, process.argv[1] ?? '', ...args]
  process.execve?.(UNSHARE, [UNSHARE, ...options, ...program], inheritedEnvironment())
  throw new AppError('internal', 'mount_namespace', 'The mount namespace could not be entered.')
}
