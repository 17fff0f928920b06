// For conformance suites: an LFS server as git hosts run one. The batch is asked at the git host; the files lie at a second
// address, which is told who may read and write by a header that the batch hands out.
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface LfsServer {
  objects: Map<string, Buffer>
  /** Every request for a file, with what it carried. */
  transfers: { method: string; authorization: string | undefined; signed: string | undefined }[]
  /** Answers a batch at the git host. */
  batch(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void>
  close(): void
}

const SIGNED = 'let-me-in'

/** `host` is where the files lie, `name` how that is called; loopback unless told. */
export async function createLfsServer(
  { host, name } = { host: '127.0.0.1', name: '127.0.0.1' },
): Promise<LfsServer> {
  const objects = new Map<string, Buffer>()
  const transfers: LfsServer['transfers'] = []
  const storage = createServer(async (incoming, outgoing) => {
    const { method = '', url = '', headers } = incoming
    const signed = headers['x-signed'] as string | undefined
    transfers.push({ method, authorization: headers.authorization, signed })
    const body = await readBody(incoming)
    const oid = url.slice(1)
    const content = objects.get(oid)
    if (signed !== SIGNED) outgoing.writeHead(403).end()
    else if (method === 'PUT') {
      objects.set(createHash('sha256').update(body).digest('hex'), body)
      outgoing.writeHead(200).end()
    } else outgoing.writeHead(content ? 200 : 404).end(content)
  })
  await new Promise<void>((resolve) => storage.listen(0, host, resolve))
  const { port } = storage.address() as AddressInfo
  return {
    objects,
    transfers,
    batch: async (incoming, outgoing) => {
      const { operation, objects: asked } = JSON.parse((await readBody(incoming)).toString('utf8'))
      const answers = asked.map((object: { oid: string; size: number }) => {
        const action = {
          href: `http://${name}:${port}/${object.oid}`,
          header: { 'X-Signed': SIGNED },
        }
        const isHere = objects.has(object.oid)
        if (operation === 'upload')
          return isHere ? object : { ...object, actions: { upload: action } }
        if (isHere) return { ...object, actions: { download: action } }
        return { ...object, error: { code: 404, message: 'no such object' } }
      })
      outgoing.writeHead(200, { 'content-type': 'application/vnd.git-lfs+json' })
      outgoing.end(JSON.stringify({ transfer: 'basic', objects: answers }))
    },
    close: () => {
      storage.close()
      storage.closeAllConnections()
    },
  }
}

async function readBody(incoming: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk)
  return Buffer.concat(chunks)
}
