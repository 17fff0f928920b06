// An installation for the time of one command, in a folder of its own that is taken away again: for `errand demo` and
// `errand attack`.
import { mkdir, mkdtemp, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Cli } from '../cli/command.ts'
import { InterruptedError } from '../cli/deps.ts'
import { type Config, readConfig } from '../config.ts'
import { removeUserTree } from '../sandbox/rootless/rootless-rights.ts'
import { connectTo } from './connect.ts'
import { findInstance, stopInstance } from './instance.ts'

/** Ctrl-C, and what else ends a program whose terminal is closed. */
const ENDINGS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** The signal aborts when the user wants no more of it. */
export async function inOwnFolder(
  cli: Cli,
  name: string,
  work: (folder: string, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const parent = join(dirname(readConfig().dataDir), name)
  await mkdir(parent, { recursive: true })
  const folder = await mkdtemp(join(parent, 'd-'))
  const ended = new AbortController()
  const end = () => {
    if (cli.deps.stderr.isTTY && !ended.signal.aborted)
      cli.deps.stderr.write('\nTaking everything away …\n')
    ended.abort(new InterruptedError())
  }
  for (const signal of ENDINGS) process.on(signal, end)
  try {
    await work(folder, ended.signal)
  } catch (error) {
    // Ctrl-C ends what it has started as well: that this failed is not worth a word.
    ended.signal.throwIfAborted()
    throw error
  } finally {
    await removeUserTree(folder)
    // Another one may run in it.
    await rmdir(parent).catch(() => undefined)
    for (const signal of ENDINGS) process.off(signal, end)
  }
}

/** Embedded defaults in this folder, reachable from this machine alone. */
export function shortLivedConfig(folder: string): Config {
  const own = readConfig({ dataDir: join(folder, 'data'), port: 0, host: '127.0.0.1' })
  // The sessions are few and known: nothing is worth starting ahead of them.
  return { ...own, databaseUrl: undefined, publicUrl: undefined, standbys: 0 }
}

/** Sandboxes are removed by the Errand that made them, then it is stopped; resolves when all of it has ended. */
export async function takeDown(config: Config): Promise<void> {
  const running = await findInstance(config)
  if (running) {
    const { client } = await connectTo(config)
    const { sessions } = await client.listSessions({ limit: 200 })
    await Promise.all(sessions.map(({ id }) => client.removeSession(id)))
  }
  await stopInstance(config)
}
