// The program that runs every git on the host, as a user of its own: `gitd --config <file>`. Serves a unix socket that
// server and gateway may open. Whatever a pack, an upstream or a client does, it logs and goes on.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmod, chown, rm } from 'node:fs/promises'
import type { Server } from 'node:http'
import { z } from 'zod'
import { createGitServer } from './git/control.ts'
import { createRepositories, type Repositories } from './git/repositories.ts'
import { startGitEgress } from './git-egress.ts'
import type { Logger } from './lib/logger.ts'
import { outliveErrors, type ProgramContext, runProgram } from './program-main.ts'

const configSchema = z.object({
  /** Belongs to this program's user alone. */
  dataDir: z.string().startsWith('/'),
  socketPath: z.string().startsWith('/'),
  /** Group that may open the socket. */
  socketGid: z.int().min(0).optional(),
  /** Private networks that the owner opened for named hosts. */
  allowedNetworks: z.array(z.object({ host: z.string(), network: z.string() })),
  /** Certificates to trust, instead of those of the system. */
  caFile: z.string().startsWith('/').optional(),
  nodePath: z.string().startsWith('/'),
  path: z.string().default('/usr/local/bin:/usr/bin:/bin'),
  logLevel: z.string().default('info'),
})
type Config = z.infer<typeof configSchema>

const SWEEP_INTERVAL_MS = 3_600_000

async function startGitd({ settings, logger, shutdown }: ProgramContext<Config>): Promise<void> {
  process.umask(0o077)
  outliveErrors(logger)
  const config = configSchema.parse(settings)
  const { dataDir, path, nodePath, caFile } = config
  const { proxyUrl, close } = await startGitEgress(config.allowedNetworks, logger)
  shutdown.add('egress', close)
  const network = { nodePath, proxyUrl, caFile }
  const repositories = await createRepositories(
    { dataDir, path, network },
    { log: logger, nowMs: Date.now, randomBytes },
  )
  const server = createGitServer({ repositories, log: logger })
  await listen(server, config)
  const timer = setInterval(() => sweepOnce(repositories, logger), SWEEP_INTERVAL_MS)
  sweepOnce(repositories, logger)
  shutdown.add('observations', () => repositories.observations.close())
  shutdown.add('socket', () => {
    clearInterval(timer)
    server.close()
    server.closeAllConnections()
  })
}

async function listen(server: Server, { socketPath, socketGid }: Config): Promise<void> {
  await rm(socketPath, { force: true })
  server.listen(socketPath)
  await once(server, 'listening')
  if (socketGid !== undefined) await chown(socketPath, -1, socketGid)
  await chmod(socketPath, 0o660)
}

function sweepOnce(repositories: Repositories, log: Logger): void {
  repositories.sweep().catch((error) => log.warn({ err: error }, 'the sweep failed'))
}

if (import.meta.main) await runProgram<Config>('gitd', startGitd)
