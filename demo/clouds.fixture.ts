// Stand-ins for Amazon Bedrock and Google Vertex AI before the scripted model, for tests: each checks who asks as the real one
// does (a signature that it computes by itself, an access token that it gave out) and answers in its own form.
import {
  createHash,
  createHmac,
  createVerify,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { createParser } from 'eventsource-parser'
import { encodeAwsMessage } from '../src/model/aws-event-stream.fixture.ts'

export interface Cloud {
  url: string
  /** Method and path of each request, and why it was refused. */
  seen: { request: string; refused: string | undefined }[]
  close(): Promise<void>
}

/** The scripted model behind a stand-in. */
interface Behind {
  /** Asked for at each request: it may start later. */
  url: () => string
  key: string
}

export const AWS_KEYS = {
  keyId: 'AKIDEXAMPLE',
  secretKey: 'wJalrXUtnFEMI/K7MDENG',
  region: 'eu-west-3',
}
export const GOOGLE = { project: 'our-project', region: 'europe-west4', token: 'ya29.given-out' }

export async function startBedrock(behind: Behind): Promise<Cloud> {
  return startCloud(async (req, body) => {
    const refused = findWrongSignature(req, body)
    if (refused) return { status: 403, json: { message: refused }, refused }
    const [, model = '', verb] = /^\/model\/([^/]+)\/(.+)$/.exec(req.url ?? '') ?? []
    const asked = JSON.parse(body.toString()) as Record<string, unknown>
    const { anthropic_version, anthropic_beta, ...rest } = asked
    const stream = verb === 'invoke-with-response-stream'
    const answer = await ask(behind, { ...rest, model: decodeURIComponent(model), stream })
    return stream ? { status: 200, frames: answer } : { status: 200, json: await answer.json() }
  })
}

/** With its token endpoint at `/token`. */
export async function startVertex(behind: Behind): Promise<Cloud & { credentials: string }> {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const cloud = await startCloud(async (req, body) => {
    if (req.url === '/token') {
      const refused = findWrongAssertion(new URLSearchParams(body.toString()), publicKey, cloud.url)
      if (refused) return { status: 400, json: { error: refused }, refused }
      return { status: 200, json: { access_token: GOOGLE.token, expires_in: 3600 } }
    }
    if (req.headers.authorization !== `Bearer ${GOOGLE.token}`)
      return { status: 401, json: { error: { message: 'no token' } }, refused: 'no token' }
    const [, model = '', verb] = /\/models\/([^/:]+):(.+)$/.exec(req.url ?? '') ?? []
    const { anthropic_version, ...rest } = JSON.parse(body.toString()) as Record<string, unknown>
    if (model === 'count-tokens') return { status: 200, json: { input_tokens: 7 } }
    const answer = await ask(behind, { ...rest, model })
    return verb === 'streamRawPredict'
      ? { status: 200, events: answer }
      : { status: 200, json: await answer.json() }
  })
  const credentials = JSON.stringify({
    type: 'service_account',
    client_email: 'errand@our-project.example',
    private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    private_key_id: 'k1',
    token_uri: `${cloud.url}/token`,
  })
  return { ...cloud, credentials }
}

interface Answer {
  status: number
  json?: unknown
  /** An answer of the scripted model to be sent on as it is, or as Bedrock's frames. */
  events?: Response
  frames?: Response
  refused?: string
}

async function startCloud(
  answer: (req: IncomingMessage, body: Buffer) => Promise<Answer>,
): Promise<Cloud> {
  const seen: Cloud['seen'] = []
  const handle = async (req: IncomingMessage, res: ServerResponse) => {
    const body = await buffer(req)
    const given = await answer(req, body)
    seen.push({ request: `${req.method} ${req.url}`, refused: given.refused })
    await sendAnswer(res, given)
  }
  const server = createServer((req, res) => {
    handle(req, res).catch(() => res.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    close: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

async function sendAnswer(res: ServerResponse, { status, json, events, frames }: Answer) {
  const from = events ?? frames
  if (!from?.body) {
    res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(json))
    return
  }
  const type = frames ? 'application/vnd.amazon.eventstream' : 'text/event-stream'
  res.writeHead(from.status, { 'content-type': type, 'x-amzn-requestid': 'aws-1' })
  const parser = createParser({
    onEvent: ({ data }) => {
      const bytes = Buffer.from(data).toString('base64')
      const headers = { ':event-type': 'chunk', ':message-type': 'event' }
      res.write(encodeAwsMessage(headers, Buffer.from(JSON.stringify({ bytes }))))
    },
  })
  for await (const chunk of from.body) {
    if (frames) parser.feed(Buffer.from(chunk).toString('utf8'))
    else res.write(chunk)
  }
  res.end()
}

function ask({ url, key }: Behind, body: unknown): Promise<Response> {
  return fetch(`${url()}/v1/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': key },
    body: JSON.stringify(body),
  })
}

/** Signature Version 4, computed from what arrived. */
function findWrongSignature(req: IncomingMessage, body: Buffer): string | undefined {
  const { authorization = '' } = req.headers
  const match =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/bedrock\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/.exec(
      authorization,
    )
  if (!match) return 'the request is not signed'
  const [, keyId, day = '', region = '', names = '', signature] = match
  if (keyId !== AWS_KEYS.keyId || region !== AWS_KEYS.region) return 'the security token is invalid'
  const headers = names.split(';').map((name) => `${name}:${String(req.headers[name]).trim()}\n`)
  const path = (req.url ?? '').split('/').map(encodeURIComponent).join('/')
  const canonical = ['POST', path, '', headers.join(''), names, sha256(body)].join('\n')
  const scope = `${day}/${region}/bedrock/aws4_request`
  const at = String(req.headers['x-amz-date'])
  const key = [day, region, 'bedrock', 'aws4_request'].reduce<Buffer>(
    (secret, part) => createHmac('sha256', secret).update(part).digest(),
    Buffer.from(`AWS4${AWS_KEYS.secretKey}`),
  )
  const text = ['AWS4-HMAC-SHA256', at, scope, sha256(Buffer.from(canonical))].join('\n')
  const expected = createHmac('sha256', key).update(text).digest('hex')
  return expected === signature ? undefined : 'the signature does not match'
}

function findWrongAssertion(
  form: URLSearchParams,
  key: KeyObject,
  cloudUrl: string,
): string | undefined {
  const [head = '', claims = '', signature = ''] = (form.get('assertion') ?? '').split('.')
  const isSigned = createVerify('RSA-SHA256')
    .update(`${head}.${claims}`)
    .verify(key, signature, 'base64url')
  if (!isSigned) return 'invalid_grant'
  const { aud, iss } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as {
    aud: string
    iss: string
  }
  return aud === `${cloudUrl}/token` && iss.startsWith('errand@') ? undefined : 'invalid_client'
}

function sha256(data: Buffer): string {
  return createHash('sha256').update(data).digest('hex')
}
