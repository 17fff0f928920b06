// Starts a whole installation, in order, and stops it in the reverse order. Sandboxes go on running: they are found again.

import { readFile, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import type { Registry } from '../egress/registries/registry-files.ts'
import { probePort } from '../http/listen.ts'
import { removeLeftImports } from '../image/lock.ts'
import type { Logger } from '../lib/logger.ts'
import { createShutdown } from '../lib/shutdown.ts'
import { describeInside, isUpstream, readUpstream } from '../model/upstream.ts'
import type { GatewaySettings, SandboxdReady, ServerReady, ServerSettings } from '../settings.ts'
import { startDatabase } from './database.ts'
import {
  type Accounts,
  clearRuntimeFolder,
  gatherCertificates,
  type Layout,
  layoutOf,
  prepareGround,
  writeSettings,
} from './ground.ts'
import { findRegistries } from './image-registries.ts'
import { claimInstance, listenerUrl, untilServerEnded, versionOf } from './instance.ts'
import { type Program, startProgram } from './programs.ts'

export interface Running {
  url: string
  loginUrl: string
  /** The last Errand here did not end in order. */
  followsKilled: boolean
  /** Why no session can start here, and what mends it. */
  refusal: string | null
  stop(): Promise<void>
}

const STOP_LIMIT_MS = 10_000
const GIB = 1024 ** 3
const REGISTRIES_LIMIT_MS = 5_000

export async function startErrand(config: Config, logger: Logger): Promise<Running> {
  const layout = layoutOf(config)
  const claim = await claimInstance(config)
  const shutdown = createShutdown(STOP_LIMIT_MS, (step, error) =>
    logger.error({ err: error, step }, 'stopping'),
  )
  shutdown.add('claim', claim.release)
  shutdown.add('runtime folder', () => clearRuntimeFolder(config, layout))
  try {
    if (claim.followsKilled) {
      logger.warn('the last Errand here did not end in order; what it left is taken over')
      await untilServerEnded(config)
    }
    // Nobody waits for gigabytes to be deleted.
    removeLeftImports(config).catch((err) =>
      logger.warn({ err }, 'what an image import has left could not be removed'),
    )
    // The server would say so too, but last.
    await probePort(config)
    const accounts = await prepareGround(config, layout)
    const caFile = (await gatherCertificates(config, layout)) ? layout.caFile : undefined
    const registries = hostRegistries(config, logger)
    const database = await startDatabase({ config, layout, accounts, logger })
    shutdown.add('database', () => database.stop())
    const { connection } = database
    const start = programStarter({ config, layout, accounts, logger, shutdown, caFile })
    const gitd = start('gitd', 'git', gitSettings(config, layout, caFile))
    const sandboxd = start<SandboxdReady>(
      'sandboxd',
      'root',
      sandboxSettings(config, layout, accounts),
    )
    await allStarted([
      gitd,
      sandboxd,
      // It follows the pushes that gitd sees.
      gitd.then(async () => {
        const found = { connection, registries: await registries }
        return start('gateway', 'gateway', gatewaySettings(config, layout, found))
      }),
    ])
    // Known before the server starts, since it answers to this address only.
    const port = config.port === 0 ? await probePort(config) : config.port
    const token = await readFile(layout.tokenFile, 'utf8').catch(() => null)
    const found = { connection, registries: await registries }
    const settings = { ...serverSettings({ ...config, port }, layout, found), token }
    const server: Program<ServerReady> = await start('server', 'server', settings)
    const { url, loginUrl } = server.ready
    await writeFile(layout.tokenFile, server.ready.token, { mode: 0o600 })
    const listener = listenerUrl({ host: config.host, port })
    await claim.ready({ pid: process.pid, url, listener, version: versionOf(config) })
    shutdown.add('instance file', claim.retract)
    const { refusal } = (await sandboxd).ready
    const { followsKilled } = claim
    return { url, loginUrl, followsKilled, refusal, stop: () => shutdown.run() }
  } catch (error) {
    await shutdown.run()
    throw error
  }
}

/** Waits for all, so that those that did start are stopped when one did not. */
async function allStarted(starting: Promise<unknown>[]): Promise<void> {
  await Promise.allSettled(starting)
  await Promise.all(starting)
}

interface Parts {
  config: Config
  layout: Layout
  accounts: Accounts
  logger: Logger
  shutdown: ReturnType<typeof createShutdown>
  caFile?: string
}

function programStarter({ config, layout, accounts, logger, shutdown, caFile }: Parts) {
  return async <Ready>(
    name: string,
    as: keyof Accounts,
    value: object,
  ): Promise<Program<Ready>> => {
    const account = accounts[as]
    const settings = { account, value: { ...value, logLevel: config.logLevel } }
    const program = await startProgram<Ready>({
      name,
      node: layout.node,
      script: join(layout.code, 'dist/programs', `${name}.mjs`),
      settingsFile: await writeSettings(layout, name, settings),
      account,
      compileCache: join(layout.compileCaches, String(account.uid)),
      caFile,
      logger,
    })
    shutdown.add(name, () => program.stop())
    return program
  }
}

/** Of this host's own tools; what cannot be learnt is left out with a warning, and Errand starts all the same. */
async function hostRegistries(config: Config, logger: Logger): Promise<Registry[]> {
  try {
    const signal = AbortSignal.timeout(REGISTRIES_LIMIT_MS)
    const { registries, warnings } = await findRegistries(config, '/', signal)
    if (warnings.length > 0) logger.warn({ warnings }, 'some package registries were not found')
    return registries
  } catch (error) {
    logger.warn({ err: error }, 'the package registries of this host were not found')
    return []
  }
}

function gitSettings({ allowedNetworks }: Config, layout: Layout, caFile: string | undefined) {
  return {
    dataDir: layout.gitData,
    socketPath: layout.gitSocket,
    nodePath: layout.node,
    caFile,
    allowedNetworks,
  }
}

function sandboxSettings(config: Config, layout: Layout, accounts: Accounts) {
  return {
    dataDir: layout.data,
    runtimeDir: config.runtimeDir,
    doorsDir: layout.doors,
    socketPath: layout.sandboxSocket,
    socketUid: accounts.server.uid,
    rootfsDirs: config.rootfsDirs,
    runtime: config.ociRuntime,
    // This installation's own, by which the gateway ends the TLS of some hosts.
    extraCaFiles: [...config.extraCaFiles, layout.authorityFile],
    allowUnlimited: config.allowUnlimited,
    ...(config.isRoot ? {} : { homeDir: homedir() }),
    tools: { 'check-tools': join(layout.code, 'dist/tools/check-tools') },
    programs: {
      node: layout.node,
      runner: join(layout.code, 'dist/runner'),
      agent: join(
        layout.code,
        `node_modules/@anthropic-ai/claude-agent-sdk-linux-${process.arch}/claude`,
      ),
    },
  }
}

function gatewaySettings(
  config: Config,
  layout: Layout,
  learnt: Pick<GatewaySettings, 'connection' | 'registries'>,
): Omit<GatewaySettings, 'logLevel'> {
  return {
    ...learnt,
    keyFile: layout.keyFile,
    authority: { keyFile: layout.authorityKeyFile, certificateFile: layout.authorityFile },
    dataDir: layout.gatewayData,
    doorsDir: layout.doors,
    namedImagesDir: layout.namedImages,
    socketPath: layout.gatewaySocket,
    gitSocket: layout.gitSocket,
    model: config.model,
    allowedNetworks: config.allowedNetworks,
    publicUrl: config.publicUrl ?? null,
    concurrency: config.concurrency,
    idleMinutes: config.idleMinutes,
  }
}

function serverSettings(
  config: Config,
  layout: Layout,
  learnt: Pick<ServerSettings, 'connection' | 'registries'>,
): Omit<ServerSettings, 'logLevel' | 'token'> {
  const { isScripted } = config.model
  const hasKey = isUpstream(readUpstream(config.model))
  return {
    ...learnt,
    namedImagesDir: layout.namedImages,
    keyFile: layout.keyFile,
    host: config.host,
    port: config.port,
    publicUrl: config.publicUrl ?? null,
    gitSocket: layout.gitSocket,
    gatewaySocket: layout.gatewaySocket,
    sandboxSocket: layout.sandboxSocket,
    webDir: join(layout.code, 'dist/web'),
    agentStartFile: join(layout.code, 'dist/runner/agent-start.json'),
    version: versionOf(config),
    standbys: config.standbys,
    standbyAgents: config.standbyAgents,
    concurrency: config.concurrency,
    idleMinutes: config.idleMinutes,
    git: config.git,
    layerBytes: config.layerGib * GIB,
    checkoutFiles: config.checkoutFiles,
    modelKind: isScripted ? 'scripted' : hasKey ? 'live' : 'missing',
    modelInside: describeInside(config.model),
  }
}
