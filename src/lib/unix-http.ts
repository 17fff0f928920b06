// HTTP with JSON bodies over a unix socket: how the programs of one installation talk to each other.
import { request as httpRequest, type IncomingMessage } from 'node:http'

export interface UnixResponse {
  status: number
  body: unknown
}

export interface UnixRequest {
  method: string
  path: string
  body?: unknown
  signal?: AbortSignal
  headers?: Record<string, string>
}

/** Sends one request; resolves with status and parsed JSON body (undefined when empty). Rejects on connection errors. */
export async function requestUnix(socketPath: string, request: UnixRequest): Promise<UnixResponse> {
  const response = await openUnix(socketPath, request)
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString('utf8')
  return { status: response.statusCode ?? 0, body: text === '' ? undefined : JSON.parse(text) }
}

/** Sends one request and resolves with the response as a stream once its head has arrived. */
export function openUnix(socketPath: string, request: UnixRequest): Promise<IncomingMessage> {
  const { method, path, body, signal, headers = {} } = request
  const payload = body === undefined ? undefined : JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(
      {
        socketPath,
        method,
        path,
        signal,
        headers: {
          ...headers,
          ...(payload === undefined
            ? {}
            : {
                'content-type': 'application/json',
                'content-length': String(Buffer.byteLength(payload)),
              }),
        },
      },
      resolve,
    )
    outgoing.on('error', reject)
    outgoing.end(payload)
  })
}
