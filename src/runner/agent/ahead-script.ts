// What process 1 of a new sandbox runs before the runner: it starts the agent, which boots while Node.js starts, the runner loads,
// connects and makes the checkout. Written outside, where the session is known. The runner takes the agent over (agent-ahead.ts);
// whether it can be used is found out then, so that nothing that goes wrong here does more than cost time.
import { randomUUID } from 'node:crypto'
import { SANDBOX_PATHS } from '../../protocol/network.ts'
import { MAX_BEFORE_RUNNER_BYTES, SANDBOX_ENVIRONMENT } from '../../protocol/process-one.ts'
import type { RunnerBoot } from '../../protocol/runner-frames.ts'
import {
  buildVariables,
  CERTIFICATE_FILES,
  certificateVariables,
  inheritedWith,
  RUN_MARK,
  transportFor,
  type Variables,
} from './agent-environment.ts'
import { describeHome } from './agent-home.ts'
import { type AgentCommand, type AgentStart, parkedFolder, stateFile } from './agent-start.ts'

export interface AheadPlace {
  agent: string
  stateFolder: string
  /** A folder that is not there yet. */
  pipes: string
  /** What the runner inherits. */
  inherited: Variables
  transport: Variables
}

/** The last words of what starts it: its number of the end, 128 and the number of a signal. */
const HOLDER = `trap : TERM; unset PWD OLDPWD SHLVL; "$@" 6>&-; echo $? >&6`

/** Of a sandbox; empty where no agent is to boot, or the variables are too long to be written so. */
export function beforeRunner(boot: RunnerBoot, start: AgentStart, now: Date): string {
  if (boot.purpose === 'layer' || boot.agent === 'needed') return ''
  const script = aheadScript(boot, start, now, {
    agent: SANDBOX_PATHS.agent,
    stateFolder: SANDBOX_PATHS.state,
    pipes: SANDBOX_PATHS.agentPipes,
    inherited: inheritedWith(boot.model, SANDBOX_ENVIRONMENT),
    transport: transportFor(boot.model),
  })
  return Buffer.byteLength(script) <= MAX_BEFORE_RUNNER_BYTES ? script : ''
}

/** Only where the agent is certain to be new: there is no conversation yet. */
export function aheadScript(
  boot: Pick<RunnerBoot, 'sessionId' | 'variables'>,
  start: AgentStart,
  now: Date,
  { agent, stateFolder, pipes, inherited, transport }: AheadPlace,
): string {
  const variables = buildVariables(boot, inherited, transport)
  const home = describeHome(variables, now)
  const env = { ...variables, [RUN_MARK]: `${boot.sessionId}/${randomUUID()}`, ...start.env }
  const args = withTransport(start.args, transport)
  const certificates = CERTIFICATE_FILES.map((path) => quote(path)).join(' ')
  const trusting = assignments(certificateVariables('$f')).map((one) => `"${one}"`)
  return `home=${quote(home.path)} cwd=${quote(parkedFolder(stateFolder))} pipes=${quote(pipes)}
if [ ! -e ${quote(stateFile(stateFolder))} ] && (
  umask 077
  [ -e "$home" ] || printf %s ${quote(home.text)} >"$home"
  mkdir -p "$cwd" "$pipes" && cd "$pipes" && mkfifo in out err end
) 2>/dev/null; then
  # Held open from both ends, so that neither side waits for the other or finds it gone.
  exec 3<>"$pipes/in" 4<>"$pipes/out" 5<>"$pipes/err" 6<>"$pipes/end"
  set --
  for f in ${certificates}; do
    if [ -e "$f" ]; then set -- ${trusting.join(' ')}; break; fi
  done
  (
    cd "$cwd" && exec setsid env -i "$@" ${assignments(env).map(quote).join(' ')} /bin/sh -c ${quote(HOLDER)} sh ${[agent, ...args].map(quote).join(' ')}
  ) <"$pipes/in" >"$pipes/out" 2>"$pipes/err" 3>&- 4>&- 5>&- &
  ahead=$!
fi
`
}

/** What such a process was given, by what /proc says of it; undefined while it is on its way or when it has ended. */
export function readAhead(read: {
  commandLine: string
  environment: string
  cwd: string
}): AgentCommand | undefined {
  const [, , holder, , command, ...args] = read.commandLine.split('\0').slice(0, -1)
  if (holder !== HOLDER || command === undefined) return undefined
  const env = Object.fromEntries(
    read.environment
      .split('\0')
      .slice(0, -1)
      .map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
  )
  return { command, args, cwd: read.cwd, env }
}

function assignments(variables: Variables): string[] {
  return Object.entries(variables).map(([name, value]) => `${name}=${value}`)
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

/** The settings are given as one argument, with the variables that nothing may change. */
function withTransport(args: string[], transport: Variables): string[] {
  const at = args.indexOf('--settings') + 1
  const settings = JSON.parse(args[at] ?? '{}') as object
  return args.with(at, JSON.stringify({ ...settings, env: transport }))
}
