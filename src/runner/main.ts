// Process 1's child in every sandbox: reads how it is set up, serves names and connections, then does what the gateway says.
// Holds no secret; whatever it reports is a claim.
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createLogger } from '../lib/logger.ts'
import { createShutdown, stopOnSignals } from '../lib/shutdown.ts'
import { MESSAGES_MODEL } from '../protocol/model-endpoint.ts'
import {
  DOOR_ADDRESS,
  REDIRECTED_PORTS,
  RUNNER_DNS_PORT,
  runnerPortFor,
  SANDBOX_PATHS,
} from '../protocol/network.ts'
import { runnerBootSchema } from '../protocol/runner-frames.ts'
import { CERTIFICATE_FILES, transportVariables, type Variables } from './agent-environment.ts'
import { startDns } from './dns.ts'
import { createNames } from './names.ts'
import { startRedirect } from './redirect.ts'
import { startRunner } from './runner.ts'

const DOOR_PATIENCE_MS = 120_000
const STOP_MS = 4_500

export async function main(): Promise<void> {
  const environment = readEnvironment()
  const log = createLogger('runner', environment.ERRAND_LOG_LEVEL ?? 'info')
  const shutdown = createShutdown(STOP_MS, (step, error) => log.error({ err: error }, step))
  stopOnSignals(() => shutdown.run())
  const boot = runnerBootSchema.parse(JSON.parse(await readFile(SANDBOX_PATHS.session, 'utf8')))

  const names = createNames()
  const dns = await startDns(names, DOOR_ADDRESS, RUNNER_DNS_PORT)
  shutdown.add('names', dns.close)
  const redirect = await startRedirect({
    names,
    door: { socketPath: SANDBOX_PATHS.doorSocket, patienceMs: DOOR_PATIENCE_MS },
    ports: REDIRECTED_PORTS.map((asked) => ({ asked, listen: runnerPortFor(asked) })),
  })
  shutdown.add('connections', redirect.close)

  const model = boot.model ?? MESSAGES_MODEL
  const place = {
    doorSocket: SANDBOX_PATHS.doorSocket,
    stateFolder: boot.purpose === 'layer' ? SANDBOX_PATHS.passingState : SANDBOX_PATHS.state,
    workspace: SANDBOX_PATHS.workspace,
    gitConfigPath: '/etc/gitconfig',
    agent: SANDBOX_PATHS.agent,
    inherited: { ...environment, ...model.names },
    ownsProcesses: await isOnlyChild(),
    transport: transportVariables(model.form),
    certificates: CERTIFICATE_FILES.find((path) => existsSync(path)) ?? null,
  }
  const runner = await startRunner(boot, place, log)
  shutdown.add('runner', runner.stop)
}

/** What process 1 runs in a sandbox names this program; nothing else may be taken for one. */
async function isOnlyChild(): Promise<boolean> {
  return (
    process.ppid === 1 && (await readFile('/proc/1/cmdline', 'utf8')).includes(SANDBOX_PATHS.runner)
  )
}

function readEnvironment(): Variables {
  return Object.fromEntries(
    // biome-ignore lint/style/noProcessEnv: the runner reads its own environment, once, here.
    Object.entries(process.env).filter(
      (entry): entry is [string, string] => entry[1] !== undefined,
    ),
  )
}
