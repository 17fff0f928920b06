// The program that makes and ends sandboxes for the server, as root or as an ordinary user: a few verbs over a unix socket.
// It holds no credential. Its settings come in a file: `--config <file>`.
import { chmod, chown, mkdir, rm } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { dirname } from 'node:path'
import { z } from 'zod'
import type { Logger } from './lib/logger.ts'
import { runProgram } from './program-main.ts'
import { AppError } from './protocol/errors.ts'
import { DRIVERS } from './sandbox/drivers.ts'
import { createRefusingDriver } from './sandbox/refusing.ts'
import { createSandboxServer } from './sandbox/server.ts'
import type { SandboxdReady } from './settings.ts'

/** Colons and commas separate the folders in the options of an overlay mount. */
const folderPath = z.string().regex(/^\/[^\0\n:,\\]*$/, 'not an absolute path without : and ,')
const filePath = z.string().regex(/^\/[^\0\n]*$/, 'not an absolute path')

export const sandboxdConfigSchema = z.strictObject({
  driver: z.string().default('oci'),
  /** runc, crun or runsc, by name or path. */
  runtime: z.string().default('runc'),
  dataDir: folderPath,
  runtimeDir: folderPath,
  doorsDir: folderPath,
  programs: z.strictObject({ node: filePath, runner: filePath, agent: filePath }),
  /** Programs that are on PATH inside, by name. */
  tools: z.record(z.string().regex(/^[a-z][a-z-]*$/), filePath).default({}),
  /** Where images of kind `rootfs` may lie. */
  rootfsDirs: z.array(folderPath).default([]),
  extraCaFiles: z.array(filePath).default([]),
  /** Whose registry settings the image `host` takes over, without credentials. */
  homeDir: filePath.default('/root'),
  /** How images become the property of a sandbox's root: shown so by a mount, or copied where that is not possible. */
  ownerShift: z.enum(['auto', 'mount', 'copy']).default('auto'),
  /** As an ordinary user: sandboxes may run where no limit can be set. */
  allowUnlimited: z.boolean().default(false),
  socketPath: filePath,
  /** The user that may ask, besides root; without it only the own user may. */
  socketUid: z.int().optional(),
  logLevel: z.string().default('info'),
})
export type SandboxdConfig = z.input<typeof sandboxdConfigSchema>

export interface Sandboxd {
  /** Why there can be no sandbox on this machine, and what mends it. */
  refusal: string | undefined
  /** Ends the program's work; sandboxes go on. */
  close(): Promise<void>
}

export async function createSandboxd(given: SandboxdConfig, logger: Logger): Promise<Sandboxd> {
  const config = sandboxdConfigSchema.parse(given)
  // Sandboxes have to read and pass through what is made for them.
  process.umask(0o022)
  const createDriver = DRIVERS[config.driver]
  if (!createDriver)
    throw new AppError('unsupported', 'unknown_driver', `There is no driver ${config.driver}`)
  await mkdir(dirname(config.socketPath), { recursive: true })
  await refuseSecond(config.socketPath)
  let refusal: string | undefined
  const driver = await createDriver(config, (what, error) =>
    logger.error({ err: error }, `could not ${what}`),
  ).catch((error) => {
    if (!(error instanceof AppError) || error.code !== 'unsupported') throw error
    refusal = error.message
    return createRefusingDriver(config.driver, error)
  })
  const server = createSandboxServer(driver, logger)
  await rm(config.socketPath, { force: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(config.socketPath, resolve)
  })
  await chmod(config.socketPath, 0o600)
  if (config.socketUid !== undefined) await chown(config.socketPath, config.socketUid, -1)
  logger.info({ driver: driver.kind, socket: config.socketPath }, 'ready')
  return {
    refusal,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeIdleConnections()
      }),
  }
}

/** Two of them would make and end the same sandboxes. */
function refuseSecond(socketPath: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const connection = createConnection(socketPath)
    connection.once('error', () => resolve())
    connection.once('connect', () => {
      connection.destroy()
      reject(new AppError('conflict', 'already_running', 'A sandboxd listens there already'))
    })
  })
}

if (import.meta.main) {
  await runProgram<SandboxdConfig & { logLevel: string }>(
    'sandboxd',
    async ({ settings, logger, shutdown }) => {
      const sandboxd = await createSandboxd(settings, logger)
      shutdown.add('server', sandboxd.close)
      return { refusal: sandboxd.refusal ?? null } satisfies SandboxdReady
    },
  )
}
