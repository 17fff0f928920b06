// A proxy before an installation that ends every stream after a while, wherever it is, as some proxies do.
import { once } from 'node:events'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface CuttingProxy {
  url: string
  /** How many streams it has ended. */
  cuts(): number
  close(): Promise<void>
}

export async function startCuttingProxy(target: string, limitMs: number): Promise<CuttingProxy> {
  const { hostname, port, host } = new URL(target)
  let cuts = 0
  const server = createServer((incoming, outgoing) => {
    const { method, url, headers } = incoming
    const asked = request({ hostname, port, method, path: url, headers: { ...headers, host } })
    let timer: NodeJS.Timeout | undefined
    const cut = () => {
      cuts += 1
      outgoing.destroy()
    }
    asked.on('response', (answer) => {
      if (answer.headers['content-type'] === 'text/event-stream') timer = setTimeout(cut, limitMs)
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.on('error', () => outgoing.destroy())
      answer.pipe(outgoing)
    })
    asked.on('error', () => outgoing.destroy())
    outgoing.on('close', () => {
      clearTimeout(timer)
      asked.destroy()
    })
    incoming.pipe(asked)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cuts: () => cuts,
    close: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
