// The model door: hands the agent's Messages API requests (also in the forms of Bedrock and Vertex) to the real endpoint
// with the installation's key, refuses what a session may not ask, counts what it used. The answer passes unchanged.
// It does not know what an upstream bills for a request whose client left before the answer began: that counts as 0.
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { AppError } from '../protocol/errors.ts'
import { type Refusal, sendRefusal } from './anthropic-error.ts'
import { parseJson, readBody } from './body.ts'
import { readAsked } from './model-body.ts'
import { type ModelTarget, readTarget } from './model-target.ts'
import { costUsd } from './prices.ts'
import { type Problem, type Relayed, relayAnswer, sendBroken } from './relay.ts'
import { checkRequest } from './request-check.ts'
import { isUpstream, type Upstream } from './upstream.ts'
import { openUpstream, passRequestHeaders } from './upstream-request.ts'
import type { MeteredUsage, TokenCounts } from './usage-meter.ts'

export interface ModelUsage {
  sessionId: string
  /** The door's own: never the same twice, whatever the upstream says, so that reports can be told apart by it. */
  requestId: string
  /** For asking the provider about it. */
  upstreamRequestId: string | undefined
  model: string
  inputTokens: number
  outputTokens: number
  cacheCreationTokens: number
  cacheReadTokens: number
  /** At list price; undefined for a model without one. */
  costUsd: number | undefined
  durationMs: number
  /** Of the upstream; 499 when the agent left before it answered. */
  status: number
  stopReason: string | null
}

export interface ModelProblem {
  sessionId: string
  requestId: string
  /** What the agent was answered; 200 for an answer that broke off. */
  status: number
  reason: string
  message: string
}

export interface ModelDoorOptions {
  /** A refusal where there is none for this session. */
  upstreamFor: (sessionId: string) => Upstream | Refusal
  policy: {
    allowsHost: (sessionId: string, host: string) => boolean
    /** All models unless given. */
    allowsModel?: (sessionId: string, model: string) => boolean
    /** False when the session has used up its tokens; without limit unless given. */
    hasTokensLeft?: (sessionId: string) => boolean | Promise<boolean>
    /** False when it has cost as much as it may; without limit unless given. */
    hasMoneyLeft?: (sessionId: string) => boolean
    /** False for what must not be asked since its cost could not be counted. */
    isPriced?: (asked: Record<string, unknown>) => boolean
  }
  limits?: Partial<ModelLimits>
  /** What may be asked and passed on, handed in for tests that leave one out. */
  rules?: Partial<ModelRules>
  /** Once for each `/v1/messages` request that the upstream got, whatever came of it. Must not throw. */
  onUsage: (usage: ModelUsage) => void
  /** What an answer has used so far, before the agent gets the part of it that says so. Must not throw. */
  onProgress?: (usage: ModelUsage) => void
  /** For refusals of the door and errors of the upstream. Must not throw. */
  onProblem: (problem: ModelProblem) => void
}

interface ModelRules {
  readTarget: typeof readTarget
  checkRequest: typeof checkRequest
  passRequestHeaders: typeof passRequestHeaders
}

const RULES: ModelRules = { readTarget, checkRequest, passRequestHeaders }

interface ModelLimits {
  maxBodyBytes: number
  /** Requests of one session at the same time; more get 429. */
  maxConcurrent: number
  /** The longest silence of the upstream. */
  idleMs: number
}

type Options = ModelDoorOptions & { rules: ModelRules }

/** Never rejects. The request's path begins with `/model`. */
type ModelDoor = (sessionId: string, req: IncomingMessage, res: ServerResponse) => Promise<void>

interface Exchange {
  sessionId: string
  target: ModelTarget
  req: IncomingMessage
  res: ServerResponse
  startedAt: number
  requestId: string
  upstreamRequestId: string | undefined
}

interface Checked {
  model: string
  body: Buffer
  upstream: Upstream
}

const DEFAULT_LIMITS: ModelLimits = {
  maxBodyBytes: 32 << 20,
  maxConcurrent: 16,
  idleMs: 10 * 60_000,
}
const CLIENT_LEFT = 499

export function createModelDoor(given: ModelDoorOptions): ModelDoor {
  const options = { ...given, rules: { ...RULES, ...given.rules } }
  const limits = { ...DEFAULT_LIMITS, ...options.limits }
  const running = new Map<string, number>()
  const inTurn = async (exchange: Exchange) => {
    const { sessionId } = exchange
    const count = running.get(sessionId) ?? 0
    if (count >= limits.maxConcurrent) {
      refuse(options, exchange, TOO_MANY)
      return
    }
    running.set(sessionId, count + 1)
    try {
      await pass(options, limits, exchange)
    } finally {
      const left = (running.get(sessionId) ?? 1) - 1
      if (left > 0) running.set(sessionId, left)
      else running.delete(sessionId)
    }
  }
  return async (sessionId, req, res) => {
    const exchange = openExchange(options.rules, sessionId, { req, res })
    if (!exchange) return
    try {
      await inTurn(exchange)
    } catch (error) {
      res.destroy()
      // The agent left before its request was complete.
      if (!req.complete) return
      const message = `The model door failed: ${error instanceof Error ? error.message : String(error)}`
      report(options, exchange, { status: 500, reason: 'model_door_failed', message })
    }
  }
}

/** What is asked for; undefined when that is answered already: the empty greeting, or 404 for what the door does not have. */
function openExchange(
  rules: ModelRules,
  sessionId: string,
  { req, res }: Pick<Exchange, 'req' | 'res'>,
): Exchange | undefined {
  const [pathname = '', query = ''] = (req.url ?? '').split('?', 2)
  if (/^\/model\/?$/.test(pathname) && (req.method === 'HEAD' || req.method === 'GET')) {
    res.writeHead(200, { 'content-length': '0' }).end()
    return undefined
  }
  const path = pathname.slice('/model'.length)
  const target = req.method === 'POST' && rules.readTarget(path, new URLSearchParams(query))
  if (!target) {
    sendRefusal(res, UNKNOWN_PATH)
    return undefined
  }
  const startedAt = performance.now()
  const requestId = randomUUID()
  return { sessionId, target, req, res, startedAt, requestId, upstreamRequestId: undefined }
}

/** The agent speaks the form that it was told; region and project are not its to choose. */
function fitting({ form, place }: ModelTarget, upstream: Upstream | Refusal): Upstream | Refusal {
  if (!isUpstream(upstream)) return upstream
  const { form: ours } = upstream
  if (form !== ours.kind) return WRONG_FORM
  if (ours.kind !== 'vertex') return upstream
  const isSame = place?.project === ours.project && place.region === ours.region
  return isSame ? upstream : WRONG_PLACE
}

async function pass(options: Options, limits: ModelLimits, exchange: Exchange): Promise<void> {
  const checked = await check(options, limits, exchange)
  if (!checked || exchange.res.destroyed) return
  const relayed = await ask(options, checked, limits, exchange)
  if (relayed.problem) report(options, exchange, relayed.problem)
  if (relayed.problem?.reason !== 'model_unreachable')
    count(options, exchange, checked.model, relayed)
}

/** Asks the upstream and relays its answer; the request is cancelled when the agent leaves. */
async function ask(
  options: Options,
  checked: Checked,
  limits: ModelLimits,
  exchange: Exchange,
): Promise<Relayed> {
  const { req, res, target } = exchange
  const { upstream, body } = checked
  const controller = new AbortController()
  res.once('close', () => {
    if (!res.writableFinished) controller.abort()
  })
  const { signal } = controller
  const headers = options.rules.passRequestHeaders(req.headers)
  const { idleMs } = limits
  const call = { upstream, path: target.path, headers, body, idleMs, signal }
  try {
    const answer = await openUpstream(call)
    exchange.upstreamRequestId = requestIdOf(answer)
    const secrets = upstream.secrets()
    const status = answer.statusCode ?? 500
    const onUsed = (usage: MeteredUsage) => {
      if (target.asks !== 'message') return
      options.onProgress?.(usageOf(exchange, checked.model, { status, usage }))
    }
    return await relayAnswer(answer, res, { secrets, onUsed })
  } catch (error) {
    if (signal.aborted) return { status: CLIENT_LEFT }
    const { code, message } = error as NodeJS.ErrnoException
    return sendBroken(res, error instanceof AppError ? message : (code ?? message))
  }
}

/** Reads and checks the request; undefined when it has been refused. */
async function check(
  options: Options,
  limits: ModelLimits,
  exchange: Exchange,
): Promise<Checked | undefined> {
  const { sessionId, req } = exchange
  const { policy, upstreamFor } = options
  const bytes = await readBody(req, limits.maxBodyBytes)
  if (!bytes) return refuse(options, exchange, TOO_LARGE)
  const read = readAsked(exchange.target, parseJson(bytes))
  if (!read) return refuse(options, exchange, UNFIT)
  const refusal = options.rules.checkRequest(read.asked, {
    allowsHost: (host) => policy.allowsHost(sessionId, host),
    allowsModel: (model) => policy.allowsModel?.(sessionId, model) ?? true,
  })
  if (refusal) return refuse(options, exchange, refusal)
  const hasTokensLeft = (await policy.hasTokensLeft?.(sessionId)) ?? true
  if (!hasTokensLeft) return refuse(options, exchange, NO_TOKENS)
  if (policy.hasMoneyLeft?.(sessionId) === false) return refuse(options, exchange, NO_MONEY)
  if (policy.isPriced?.(read.asked as Record<string, unknown>) === false)
    return refuse(options, exchange, NO_PRICE)
  const upstream = fitting(exchange.target, upstreamFor(sessionId))
  if (!isUpstream(upstream)) return refuse(options, exchange, upstream)
  // What was checked is what is sent: of a doubled key the upstream's parser might take another value than this one did.
  // For a body that JSON.stringify wrote, as Claude Code's, the bytes stay the same.
  const body = Buffer.from(JSON.stringify(read.sent))
  return { model: (read.asked as { model: string }).model, body, upstream }
}

function count(
  { onUsage }: ModelDoorOptions,
  exchange: Exchange,
  asked: string,
  relayed: Relayed,
): void {
  if (exchange.target.asks === 'message') onUsage(usageOf(exchange, asked, relayed))
}

function usageOf(exchange: Exchange, asked: string, { status, usage }: Relayed): ModelUsage {
  const model = usage?.model ?? asked
  const counts = usage ? [usage, ...usage.compactions] : []
  const sum = (name: keyof TokenCounts) => counts.reduce((all, one) => all + one[name], 0)
  const costs = counts.map((one) => costUsd(model, { ...usage, ...one }))
  return {
    sessionId: exchange.sessionId,
    requestId: exchange.requestId,
    upstreamRequestId: exchange.upstreamRequestId,
    model,
    inputTokens: sum('inputTokens'),
    outputTokens: sum('outputTokens'),
    cacheReadTokens: sum('cacheReadTokens'),
    cacheCreationTokens: sum('cacheCreationTokens'),
    costUsd: costs.reduce(addCost, 0),
    durationMs: Math.round(performance.now() - exchange.startedAt),
    status,
    stopReason: usage?.stopReason ?? null,
  }
}

function addCost(sum: number | undefined, cost: number | undefined): number | undefined {
  return sum === undefined || cost === undefined ? undefined : sum + cost
}

function report({ onProblem }: ModelDoorOptions, exchange: Exchange, problem: Problem): void {
  const { sessionId, requestId } = exchange
  const { status, reason, message } = problem
  onProblem({ sessionId, requestId, status, reason, message })
}

function refuse(options: ModelDoorOptions, exchange: Exchange, refusal: Refusal): undefined {
  sendRefusal(exchange.res, refusal)
  report(options, exchange, refusal)
}

function requestIdOf(answer: IncomingMessage): string | undefined {
  const id = answer.headers['request-id'] ?? answer.headers['x-amzn-requestid']
  return typeof id === 'string' && /^[\w-]{1,100}$/.test(id) ? id : undefined
}

const TOO_MANY: Refusal = {
  status: 429,
  reason: 'too_many_model_requests',
  message: 'this session has too many model requests at the same time',
}
const TOO_LARGE: Refusal = {
  status: 413,
  reason: 'model_request_too_large',
  message: 'the request is too large',
}
const NO_TOKENS: Refusal = {
  status: 400,
  reason: 'token_limit_reached',
  message: 'this session has used up its tokens: ERRAND_SESSION_TOKENS sets how many',
}
const NO_MONEY: Refusal = {
  status: 400,
  reason: 'cost_limit_reached',
  message: 'this session has cost as much as it may: ERRAND_SESSION_USD sets how much',
}
const NO_PRICE: Refusal = {
  status: 400,
  reason: 'model_price_unknown',
  message: 'there is a limit on cost here, and what this model costs at this speed is not known',
}
const UNKNOWN_PATH: Refusal = {
  status: 404,
  reason: 'model_path_unknown',
  message: 'the model door does not have this path',
}
const WRONG_FORM: Refusal = {
  status: 404,
  reason: 'model_form_unknown',
  message: 'the model endpoint of this installation is not asked in this form',
}
const WRONG_PLACE: Refusal = {
  status: 400,
  reason: 'model_place_not_allowed',
  message: 'region and project of the model are those of this installation',
}
const UNFIT: Refusal = {
  status: 400,
  reason: 'request_invalid',
  message: 'this is no request in the form of its path',
}
