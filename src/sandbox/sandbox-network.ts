// The network inside a sandbox, set up from outside between its creation and its start: loopback, addresses of LOCAL_RANGE,
// and rules that send the ports of src/protocol/network.ts to the runner. Inside nobody has the right to change them.
// There is no other device and no route, so whatever is not named here fails at once.
import { runChecked } from '../lib/process.ts'
import {
  DOOR_ADDRESS,
  LOCAL_RANGE,
  REDIRECTED_PORTS,
  RUNNER_DNS_PORT,
  runnerPortFor,
} from '../protocol/network.ts'

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

/** `namespace` are the options of nsenter for it. */
export async function setUpNetwork(namespace: string[]): Promise<void> {
  const enter = [...namespace, '--']
  await Promise.all([
    runChecked('nsenter', [...enter, 'ip', '-batch', '-'], { input: linkCommands() }),
    runChecked('nsenter', [...enter, 'nft', '-f', '-'], { input: redirectRules() }),
  ])
}
