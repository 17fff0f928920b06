// A neighbour of this machine, for downloads: a network namespace with one link to here, a server on port 80 in it, and, if
// told, a link that is as fast as a cable and no faster. Errand never connects to the machine's own addresses, hence this.
import { spawn } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { runChecked } from '../src/lib/process.ts'
import type { BenchContext } from './benchmark.ts'
import { endChild } from './installation.ts'

export interface FarHost {
  address: string
}

export async function createFarHost(
  { shutdown }: BenchContext,
  { megabits }: { megabits?: number } = {},
): Promise<FarHost> {
  const name = `eb${randomBytes(4).toString('hex')}`
  const prefix = `10.${randomInt(200, 250)}.${randomInt(256)}`
  const address = `${prefix}.2`
  const enter = [`--net=/run/netns/${name}`, '--']
  shutdown.add('namespace', async () => {
    await runChecked('ip', ['netns', 'delete', name])
  })
  await runChecked('ip', ['-batch', '-'], {
    input:
      `netns add ${name}\nlink add ${name}o type veth peer name ${name}i netns ${name}\n` +
      `address add ${prefix}.1/30 dev ${name}o\nlink set ${name}o up\n`,
  })
  await runChecked('nsenter', [...enter, 'ip', '-batch', '-'], {
    input: `link set lo up\naddress add ${address}/30 dev ${name}i\nlink set ${name}i up\n`,
  })
  if (megabits !== undefined) {
    const bucket = ['rate', `${megabits}mbit`, 'burst', '256kb', 'latency', '50ms']
    const args = ['tc', 'qdisc', 'add', 'dev', `${name}i`, 'root', 'tbf', ...bucket]
    await runChecked('nsenter', [...enter, ...args])
  }
  const server = join(import.meta.dirname, 'far-server.ts')
  const child = spawn('nsenter', [...enter, process.execPath, server, address], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  shutdown.add('server', () => endChild(child))
  await once(child.stdout, 'data')
  return { address }
}
