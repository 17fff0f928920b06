// Process 1's child in every sandbox: reads how it is set up, serves names and connections, then does what the gateway says.
// Holds no secret; whatever it reports is a claim.
import { existsSync } from 'node:fs'
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
import { takeAhead } from './agent/agent-ahead.ts'
import {
  CERTIFICATE_FILES,
  inheritedWith,
  transportFor,
  type Variables,
} from './agent/agent-environment.ts'
import { recordStart } from './agent/agent-program.ts'
import type { AgentStart } from './agent/agent-start.ts'
import { startDns } from './network/dns.ts'
import { createNames } from './network/names.ts'
import { startRedirect } from './network/redirect.ts'
import { startRunner } from './runner.ts'

const OF_THE_SHELL: ReadonlySet<string> = new Set(['PWD', 'OLDPWD', 'SHLVL', '_'])
const DOOR_PATIENCE_MS = 120_000
const STOP_MS = 4_500

/** `environment` is that of the process as it was before this was loaded: the SDK adds to it. */
export async function main(environment: NodeJS.ProcessEnv): Promise<void> {
  const ahead = takeAhead(process.argv[2], SANDBOX_PATHS.agentPipes)
  const inherited = withoutShell(environment)
  const log = createLogger('runner', inherited.ERRAND_LOG_LEVEL ?? 'info')
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

  const place = {
    doorSocket: SANDBOX_PATHS.doorSocket,
    stateFolder: boot.purpose === 'layer' ? SANDBOX_PATHS.passingState : SANDBOX_PATHS.state,
    workspace: SANDBOX_PATHS.workspace,
    gitConfigPath: '/etc/gitconfig',
    agent: SANDBOX_PATHS.agent,
    inherited: inheritedWith(boot.model, inherited),
    ownsProcesses: await isOnlyChild(),
    transport: transportFor(boot.model),
    certificates: CERTIFICATE_FILES.find((path) => existsSync(path)) ?? null,
    ahead,
  }
  const runner = await startRunner(boot, place, log)
  shutdown.add('runner', runner.stop)
}

/** Without what the shell that is process 1 adds. */
function withoutShell(environment: NodeJS.ProcessEnv): Variables {
  return Object.fromEntries(
    Object.entries(environment).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && !OF_THE_SHELL.has(entry[0]),
    ),
  )
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
