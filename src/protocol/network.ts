// The network inside a sandbox, shared by who sets it up (sandbox), who serves it (runner) and the documentation.
// Every name resolves to an address of LOCAL_RANGE, which is local to the sandbox; nothing else is reachable.

/** Benchmarking range of RFC 2544, never routed on the internet; here local to each sandbox. */
export const LOCAL_RANGE = '198.18.0.0/15'

/** The gateway as programs inside see it: git, model and proxy. */
export const DOOR_HOST = 'errand.internal'
export const DOOR_ADDRESS = '198.18.0.1'

/** TCP ports that reach the gateway without a proxy variable. A connection to any other port is refused at once. */
export const REDIRECTED_PORTS = [
  22, 80, 443, 3000, 5000, 8000, 8080, 8081, 8443, 9418, 11371,
] as const

/** The runner listens on these high ports, so that the agent's own servers may bind any usual one. */
export const RUNNER_DNS_PORT = 61053
export const RUNNER_FIRST_TCP_PORT = 61100

export function runnerPortFor(port: (typeof REDIRECTED_PORTS)[number]): number {
  return RUNNER_FIRST_TCP_PORT + REDIRECTED_PORTS.indexOf(port)
}

/** Where the socket folder, the runner and the agent are mounted inside a sandbox. */
export const SANDBOX_PATHS = {
  door: '/run/errand/door',
  doorSocket: '/run/errand/door/gateway.sock',
  node: '/opt/errand/node',
  /** Its folder is mounted as a whole. */
  runner: '/opt/errand/runner/main.mjs',
  agent: '/opt/errand/claude',
  session: '/opt/errand/session.json',
  /** For the shell that starts the runner. */
  beforeRunner: '/opt/errand/before-runner.sh',
  /** Named pipes to an agent that was started before the runner; gone with the sandbox. */
  agentPipes: '/run/errand-agent',
  state: '/var/lib/errand-runner',
  workspace: '/workspace',
  /** Where a setup script finds its inputs and begins. */
  setup: '/var/lib/errand-setup',
  /** Says whose work tree a layer holds. */
  checkoutLayer: '/var/lib/errand-checkout.json',
  /** Gone with the sandbox, so that no layer holds it. */
  passingState: '/run/errand-runner',
} as const

/** Stands where a key is expected inside a sandbox; worth nothing outside. */
export const KEY_PLACEHOLDER = 'errand-placeholder'
