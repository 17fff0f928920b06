// Process 1's child in every sandbox: reads how it is set up, serves names and connections, then does what the gateway says.
// Holds no secret; whatever it reports is a claim.
import { readFile } from 'node:fs/promises'
import { createLogger } from '../lib/logger.ts'
import { createShutdown, stopOnSignals } from '../lib/shutdown.ts'
import {
  DOOR_ADDRESS,
  REDIRECTED_PORTS,
  RUNNER_DNS_PORT,
  runnerPortFor,
  SANDBOX_PATHS,
} from '../protocol/network.ts'
import { runnerBootSchema } from '../protocol/runner-frames.ts'
import { recordStart } from './agent/agent-program.ts'
import type { AgentStart } from './agent/agent-start.ts'
import { type Beginning, inheritedWith, stateFolderOf, transportFor } from './begin.ts'
import { startDns } from './network/dns.ts'
import { createNames } from './network/names.ts'
import { startRedirect } from './network/redirect.ts'
import { startRunner } from './runner.ts'

const DOOR_PATIENCE_MS = 120_000
const STOP_MS = 4_500

export async function main({
  inherited,
  boot: text,
  certificates,
  early,
}: Beginning): Promise<void> {
  const log = createLogger('runner', inherited.ERRAND_LOG_LEVEL ?? 'info')
  const shutdown = createShutdown(STOP_MS, (step, error) => log.error({ err: error }, step))
  stopOnSignals(() => shutdown.run())
  const boot = runnerBootSchema.parse(JSON.parse(text))

  const names = createNames()
  const dns = await startDns(names, DOOR_ADDRESS, RUNNER_DNS_PORT)
  shutdown.add('names', dns.close)
  const redirect = await startRedirect({
    names,
    door: { socketPath: SANDBOX_PATHS.doorSocket, patienceMs: DOOR_PATIENCE_MS },
    ports: REDIRECTED_PORTS.map((asked) => ({ asked, listen: runnerPortFor(asked) })),
  })
  shutdown.add('connections', redirect.close)

  const place = {
    doorSocket: SANDBOX_PATHS.doorSocket,
    stateFolder: stateFolderOf(boot.purpose),
    workspace: SANDBOX_PATHS.workspace,
    gitConfigPath: '/etc/gitconfig',
    agent: SANDBOX_PATHS.agent,
    inherited: inheritedWith(boot.model, inherited),
    ownsProcesses: await isOnlyChild(),
    transport: transportFor(boot.model),
    certificates,
    early,
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

/** For the build: what `begin` is to start. */
export function recordAgent(): Promise<AgentStart> {
  return recordStart({ executable: SANDBOX_PATHS.agent, transport: {} })
}
