// Cases of the conformance suite: what a sandbox reaches, and what it does not.
import { expect, it } from 'vitest'
import { DOOR_ADDRESS, RUNNER_DNS_PORT, runnerPortFor } from '../../protocol/network.ts'
import type { Cases } from './conformance-cases.ts'

/** Connects inside and answers with `connected` or the name of the error, and how long it took. */
const connectCode = (host: string, port: number) => `
  const net = (await import('node:net')).default
  const started = performance.now()
  const how = await new Promise((resolve) => {
    const socket = net.connect({ host: '${host}', port: ${port} }, () => { socket.destroy(); resolve('connected') })
    socket.on('error', (error) => resolve(error.code))
  })
  return { how, ms: performance.now() - started }`

export function networkCases({ shared }: Cases): void {
  const evaluate = (code: string) => shared().guest.evaluate(code)

  it.each(['1.1.1.1', '169.254.169.254', '10.0.0.1', '192.168.1.1'])(
    'has no way to %s, and says so at once',
    async (host) => {
      const { how, ms } = (await evaluate(connectCode(host, 80))) as { how: string; ms: number }
      expect(how).toMatch(/ENETUNREACH|EHOSTUNREACH/)
      expect(ms).toBeLessThan(500)
    },
  )

  it('sees no device but loopback', async () => {
    const { stdout } = await shared().guest.sh('ls /sys/class/net')
    expect(stdout).toBe('lo\n')
  })

  it('brings a port to the runner with the address that was asked for', async () => {
    const seen = await evaluate(`
      const net = (await import('node:net')).default
      const server = net.createServer()
      await new Promise((resolve) => server.listen(${runnerPortFor(443)}, '0.0.0.0', resolve))
      const accepted = new Promise((resolve) => server.on('connection', (socket) => { resolve(socket.localAddress); socket.destroy() }))
      const client = net.connect(443, '198.18.77.5')
      client.on('error', () => undefined)
      const address = await accepted
      server.close(); client.destroy()
      return address`)
    expect(seen).toBe('198.18.77.5')
  })

  it('brings DNS to the runner, over UDP and TCP', async () => {
    const got = await evaluate(`
      const dgram = (await import('node:dgram')).default
      const net = (await import('node:net')).default
      const server = dgram.createSocket('udp4')
      await new Promise((resolve) => server.bind(${RUNNER_DNS_PORT}, '0.0.0.0', resolve))
      const asked = new Promise((resolve) => server.once('message', (message) => resolve(String(message))))
      const client = dgram.createSocket('udp4')
      client.send('question', 53, '${DOOR_ADDRESS}')
      const udp = await asked
      const listener = net.createServer()
      await new Promise((resolve) => listener.listen(${RUNNER_DNS_PORT}, '0.0.0.0', resolve))
      const tcp = await new Promise((resolve) => {
        const socket = net.connect(53, '${DOOR_ADDRESS}', () => { socket.destroy(); resolve('connected') })
        socket.on('error', (error) => resolve(error.code))
      })
      server.close(); client.close(); listener.close()
      return [udp, tcp]`)
    expect(got).toEqual(['question', 'connected'])
  })

  it('refuses other ports, and leaves the usual ones to the agent', async () => {
    expect(await evaluate(connectCode('198.18.0.9', 4444))).toMatchObject({ how: 'ECONNREFUSED' })
    const own = await evaluate(`
      const net = (await import('node:net')).default
      const server = net.createServer((socket) => socket.end())
      await new Promise((resolve) => server.listen(8080, '0.0.0.0', resolve))
      const how = await new Promise((resolve) => {
        const socket = net.connect(8080, '127.0.0.1', () => resolve('own server'))
        socket.on('error', (error) => resolve(error.code))
      })
      server.close()
      return how`)
    expect(own).toBe('own server')
  })

  it('lets nobody inside change routes or rules', async () => {
    const { sh } = shared().guest
    expect((await sh('ip route add default dev lo')).exitCode).not.toBe(0)
    expect((await sh('ip link add dummy0 type dummy')).exitCode).not.toBe(0)
    expect((await sh('nft flush ruleset')).exitCode).not.toBe(0)
  })
}
