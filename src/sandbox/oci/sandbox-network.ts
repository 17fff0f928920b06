// The network inside a sandbox, set up by the runtime before process 1 starts, with programs of the host: loopback,
// addresses of LOCAL_RANGE, and rules that send the ports of src/protocol/network.ts to the runner. Inside nobody has the
// right to change them. There is no other device and no route, so whatever is not named here fails at once.
import {
  DOOR_ADDRESS,
  LOCAL_RANGE,
  REDIRECTED_PORTS,
  RUNNER_DNS_PORT,
  runnerPortFor,
} from '../../protocol/network.ts'
import { TOOLS_ENV } from './launch-plan.ts'

/** For `ip -batch -`. Without an address besides 127.0.0.1, glibc looks up no IPv4 name at all (AI_ADDRCONFIG). */
export function linkCommands(): string {
  return `link set lo up\nroute add local ${LOCAL_RANGE} dev lo\naddress add ${DOOR_ADDRESS}/32 dev lo\n`
}

/** For `nft -f -`. The port alone is translated, so that the accepted socket still shows the address that was asked for. */
export function redirectRules(): string {
  const ports = REDIRECTED_PORTS.map(
    (port) => `ip daddr ${LOCAL_RANGE} tcp dport ${port} dnat to :${runnerPortFor(port)}`,
  )
  return [
    'table ip errand {',
    'chain output { type nat hook output priority -100; policy accept;',
    `ip daddr ${DOOR_ADDRESS} udp dport 53 dnat to :${RUNNER_DNS_PORT}`,
    `ip daddr ${DOOR_ADDRESS} tcp dport 53 dnat to :${RUNNER_DNS_PORT}`,
    ...ports,
    '}',
    '}',
    '',
  ].join('\n')
}

/**
 * A hook of the OCI configuration for `createContainer`: it runs in the sandbox's namespaces with all rights over them,
 * while the host's files are still there, and the sandbox does not start when it fails.
 */
export function networkHook() {
  const script = `set -e
ip -batch - <<'END'
${linkCommands()}END
exec nft -f - <<'END'
${redirectRules()}END
`
  return { path: '/bin/sh', args: ['sh', '-c', script], env: [`PATH=${TOOLS_ENV.PATH}`] }
}
