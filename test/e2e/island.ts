// A network of its own for one installation: Errand runs in it as on a machine whose only neighbour is the test. Names come
// from a hosts file of its own, and whatever leaves for anywhere else ends at a stand-in that records it, so that nothing
// reaches the real network even when a control under test is off.
import { randomBytes, randomInt } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runChecked } from '../../src/lib/process.ts'

export interface Island {
  /** Where the test listens: for Errand an address of a private network. */
  outside: string
  /** Where Errand listens. */
  inside: string
  network: string
  /** Goes before the command that starts Errand. */
  command: string[]
  /** What arrived at the stand-in: the first line of each connection, and each DNS query for a name of a test. */
  strays: string[]
  remove(): Promise<void>
}

export interface IslandOptions {
  /** Name and address; `outside` stands for the test's own address. */
  hosts?: Record<string, string>
  /** Files to lie over those of the machine, such as /etc/gitconfig; only where there is one already. */
  files?: Record<string, string>
}

export async function createIsland({
  hosts = {},
  files = {},
}: IslandOptions = {}): Promise<Island> {
  const name = `ee2e${randomBytes(4).toString('hex')}`
  const prefix = `10.${randomInt(200, 250)}.${randomInt(256)}.${4 * randomInt(64)}`
  const [outside, inside, network] = [hostOf(prefix, 1), hostOf(prefix, 2), `${prefix}/30`]
  const folder = await mkdtemp(join(tmpdir(), 'errand-island-'))
  const ip = (commands: string) => runChecked('ip', ['-batch', '-'], { input: commands })
  await ip(
    `netns add ${name}\nlink add ${name}o type veth peer name ${name}i netns ${name}\n` +
      `address add ${outside}/30 dev ${name}o\nlink set ${name}o up\n`,
  )
  const enter = [`--net=/run/netns/${name}`, '--']
  await runChecked('nsenter', [...enter, 'ip', '-batch', '-'], {
    input:
      `link set lo up\naddress add ${inside}/30 dev ${name}i\nlink set ${name}i up\n` +
      `route add default via ${outside}\n`,
  })
  const standIn = await listenForStrays(outside)
  const rules = strayRules({ outside, network, ...standIn.ports })
  await runChecked('nsenter', [...enter, 'nft', '-f', '-'], { input: rules })
  const over: Record<string, string> = {
    '/etc/hosts': hostsFile(hosts, outside),
    '/etc/resolv.conf': 'nameserver 192.0.2.53\n',
    ...files,
  }
  const mounts: string[] = []
  for (const [index, [path, text]] of Object.entries(over).entries()) {
    const file = join(folder, String(index))
    await writeFile(file, text, { mode: 0o644 })
    mounts.push(`mount --bind ${file} ${path}`)
  }
  const script = `${mounts.join(' && ')} && exec "$@"`
  return {
    outside,
    inside,
    network,
    command: ['nsenter', ...enter, 'unshare', '--mount', 'sh', '-c', script, 'sh'],
    strays: standIn.strays,
    remove: async () => {
      await standIn.close()
      await ip(`link delete ${name}o\nnetns delete ${name}\n`)
      await rm(folder, { recursive: true, force: true })
    },
  }
}

function hostOf(prefix: string, add: number): string {
  const parts = prefix.split('.').map(Number)
  return [...parts.slice(0, 3), (parts[3] ?? 0) + add].join('.')
}

function hostsFile(hosts: Record<string, string>, outside: string): string {
  const lines = Object.entries(hosts).map(
    ([name, address]) => `${address === 'outside' ? outside : address} ${name}`,
  )
  return ['127.0.0.1 localhost', ...lines, ''].join('\n')
}

function strayRules(at: { outside: string; network: string; tcp: number; udp: number }): string {
  const elsewhere = `ip daddr != { 127.0.0.0/8, ${at.network} }`
  return `table ip island {
    chain strays {
      type nat hook output priority -100; policy accept;
      ${elsewhere} meta l4proto tcp dnat to ${at.outside}:${at.tcp}
      ${elsewhere} meta l4proto udp dnat to ${at.outside}:${at.udp}
    }
    chain nothing_else {
      type filter hook output priority 0; policy drop;
      ip daddr { 127.0.0.0/8, ${at.network} } accept
    }
  }\n`
}

/** The name in a DNS query (RFC 1035, 4.1.2). */
function questionOf(message: Buffer): string {
  const text = message.toString('latin1', 13).split('\0')[0] ?? ''
  return text.replace(/[^\x21-\x7e]/g, '.')
}

async function listenForStrays(address: string) {
  const strays: string[] = []
  const open = new Set<Socket>()
  const server = createServer((socket) => {
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    socket.on('error', () => undefined)
    socket.once('data', (chunk) => {
      const text = chunk.toString('latin1')
      const host = /^host: (\S+)/im.exec(text)?.[1] ?? ''
      strays.push(`${text.split('\r\n')[0]?.slice(0, 80)} ${host}`.trim())
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nstand-in\n')
    })
  })
  server.listen(0, address)
  await once(server, 'listening')
  const datagrams = createSocket('udp4', (message, from) => {
    // Errand asks for the registries of the machine by itself; the names of tests end in these two.
    const name = questionOf(message)
    if (/\.(test|example)$/.test(name)) strays.push(`dns ${name}`)
    // NXDOMAIN (RFC 1035, 4.1.1): the question comes back, marked as an answer.
    message.writeUInt16BE(0x8183, 2)
    datagrams.send(message, from.port, from.address)
  })
  datagrams.bind(0, address)
  await once(datagrams, 'listening')
  return {
    strays,
    ports: { tcp: (server.address() as AddressInfo).port, udp: datagrams.address().port },
    close: async () => {
      for (const socket of open) socket.destroy()
      datagrams.close()
      server.close()
      await once(server, 'close')
    },
  }
}
