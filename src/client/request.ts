// One HTTP request to Errand: JSON in, parsed JSON out, every failure an AppError. Runs in browsers and in Node.
import type { z } from 'zod'
import { errorBodySchema } from '../protocol/api.ts'
import { AppError } from '../protocol/errors.ts'

/** Of a request; what it waits for may take longer than a read. */
const LIMIT_MS = 120_000

export interface ClientOptions {
  /** `http://127.0.0.1:8420`; empty in a page, which asks where it came from. */
  baseUrl: string
  /** Bearer token; a page has its cookie instead. */
  token?: string
  fetch?: typeof fetch
  /** Another way to a live stream, tried first: null where it does not open, and an ordinary request is made. */
  openStream?: (address: string, signal: AbortSignal) => Promise<ReadableStream<Uint8Array> | null>
  /** How long one request may take; two minutes unless told. Streams have no end. */
  limitMs?: number
}

export interface ApiRequest {
  method?: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  path: string
  query?: Record<string, string | number | boolean | undefined>
  body?: unknown
  headers?: Record<string, string>
  signal?: AbortSignal
}

export async function send(options: ClientOptions, request: ApiRequest): Promise<Response> {
  const { method = 'GET', body, headers, signal } = request
  const ask = options.fetch ?? fetch
  let response: Response
  try {
    response = await ask(addressOf(options, request), {
      method,
      credentials: 'same-origin',
      headers: {
        accept: 'application/json',
        ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    })
  } catch (error) {
    if (signal?.aborted) throw error
    throw unreachable(options, error)
  }
  if (!response.ok) throw await refusalOf(response)
  return response
}

function unreachable({ baseUrl }: ClientOptions, cause: unknown): AppError {
  const where = baseUrl === '' ? '' : ` at ${baseUrl}`
  const why = reasonOf(cause)
  const message = `Errand cannot be reached${where}${why && `: ${why}`}`
  return new AppError('unavailable', 'errand_unreachable', message, { cause })
}

/** What `fetch` failed with says nothing by itself: a name that is unknown or a certificate that is not trusted lies below it. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error) || error.cause === undefined) return ''
  const { cause } = error
  const [first] = cause instanceof AggregateError ? cause.errors : [cause]
  return first instanceof Error ? reasonOf(first) || first.message : ''
}

export function requestJson<S extends z.ZodType>(
  options: ClientOptions,
  schema: S,
  request: ApiRequest,
): Promise<z.output<S>> {
  return withinLimit(options, request, async (response) => {
    // Cut off in the middle it is as good as none.
    const text = await response.text().catch((error) => Promise.reject(unreachable(options, error)))
    return parseAnswer(schema, text)
  })
}

export function requestNothing(options: ClientOptions, request: ApiRequest): Promise<void> {
  return withinLimit(options, request, async () => undefined)
}

async function withinLimit<T>(
  options: ClientOptions,
  request: ApiRequest,
  read: (response: Response) => Promise<T>,
): Promise<T> {
  const limit = AbortSignal.timeout(options.limitMs ?? LIMIT_MS)
  const signal = request.signal ? AbortSignal.any([request.signal, limit]) : limit
  try {
    return await read(await send(options, { ...request, signal }))
  } catch (error) {
    if (!limit.aborted) throw error
    throw new AppError('timeout', 'no_answer', 'Errand did not answer in time', { cause: error })
  }
}

function parseAnswer<S extends z.ZodType>(schema: S, text: string): z.output<S> {
  let cause: unknown
  try {
    const parsed = schema.safeParse(JSON.parse(text))
    if (parsed.success) return parsed.data
    cause = parsed.error
  } catch (error) {
    cause = error
  }
  const message = 'the answer is not one that this version understands; are both of one version?'
  throw new AppError('internal', 'answer_unreadable', message, { cause })
}

async function refusalOf(response: Response): Promise<AppError> {
  const body: unknown = await response.json().catch(() => undefined)
  const parsed = errorBodySchema.safeParse(body)
  if (parsed.success) {
    const { code, reason, message } = parsed.data.error
    return new AppError(code, reason, message)
  }
  const message = `the server answered with status ${response.status} and without a reason`
  return new AppError(
    response.status >= 500 ? 'unavailable' : 'internal',
    'answer_unreadable',
    message,
  )
}

export function addressOf(
  { baseUrl }: ClientOptions,
  { path, query = {} }: Pick<ApiRequest, 'path' | 'query'>,
): string {
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) search.set(name, String(value))
  }
  const suffix = search.size > 0 ? `?${search}` : ''
  return `${baseUrl}/api/v1${path}${suffix}`
}
