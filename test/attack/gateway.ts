// The gateway of the suite: doors, proxy, model and runner's channel as gateway.ts wires them, in this process, for one
// sandbox. Each rule and limit is the real one unless a case hands in another.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { DoorRoute } from '../../src/door/call-route.ts'
import { createDoors, type DoorsDeps } from '../../src/door/doors.ts'
import { type Connect, createConnect } from '../../src/egress/dialling/connect.ts'
import { createDial, type DialDeps } from '../../src/egress/dialling/dial.ts'
import { createResolve, type Resolve } from '../../src/egress/dialling/resolve.ts'
import type { ForwardProxyDeps } from '../../src/egress/proxy/exchange.ts'
import { createForwardProxy } from '../../src/egress/proxy/forward-proxy.ts'
import { decideHost } from '../../src/egress/rules/decide.ts'
import { parseHost } from '../../src/egress/rules/hosts.ts'
import {
  type AllowedRegistry,
  compileRules,
  type InstallationEgress,
} from '../../src/egress/rules/policy.ts'
import type { TrafficLimits } from '../../src/egress/rules/traffic.ts'
import { createLeaves, type LeafFor, makeAuthority } from '../../src/egress/tls/authority.ts'
import { createSecureUpstream } from '../../src/egress/tls/upstream-tls.ts'
import type { SessionCredentials } from '../../src/gateway/credentials.ts'
import { createReportRedaction } from '../../src/gateway/redaction.ts'
import { NO_RULES } from '../../src/gateway/sessions.ts'
import { createLogger } from '../../src/lib/logger.ts'
import { createRedactor, type Redactor } from '../../src/lib/redact.ts'
import { createModelDoor, type ModelDoorOptions } from '../../src/model/pass-through.ts'
import { readUpstream, type Upstream } from '../../src/model/upstream.ts'
import type { NetworkPolicy } from '../../src/protocol/environment.ts'
import { AppError } from '../../src/protocol/errors.ts'
import type { SessionEvent } from '../../src/protocol/event.ts'
import type { RunnerReport } from '../../src/protocol/runner-frames.ts'
import type { SessionState } from '../../src/protocol/session.ts'
import { decide, decideCreate } from '../../src/sessions/rules/decide.ts'
import {
  type Decision,
  isRefusal,
  type Moment,
  type NewEvent,
  type Refusal,
} from '../../src/sessions/rules/draft.ts'
import { exampleSession } from '../../src/sessions/starting/new-session.fixture.ts'
import { lendCredentials, submodulePaths } from './gateway-credentials.ts'
import { HOSTS, listedDomains, OWN_ADDRESS } from './own-network.ts'

export interface GatewayParts {
  dial?: DialDeps['rules']
  /** Made of the resolver of this gateway. */
  connect?: (resolve: Resolve) => Connect
  proxy?: ForwardProxyDeps['rules']
  /** Added to the policy of the session. */
  policy?: Pick<NetworkPolicy, 'rules'>
  lists?: InstallationEgress['lists']
  traffic?: TrafficLimits
  /** Editing what may be reached leaves open connections alone. */
  keepsOpen?: boolean
  /** Besides those of the list. */
  registries?: () => Promise<AllowedRegistry[]>
  model?: Partial<Pick<ModelDoorOptions, 'rules' | 'limits'>> & {
    policy?: Partial<ModelDoorOptions['policy']>
    upstream?: (upstream: Upstream) => Upstream
  }
  limits?: DoorsDeps['limits']
  channel?: DoorsDeps['createChannel']
  git?: DoorRoute
  reach?: DoorRoute
  /** The session has ended before the attack. */
  hasEnded?: boolean
  /** There are API credentials, of this session or of another one's environment. */
  credentials?: 'own' | 'other'
  /** What `.gitmodules` of its commit says. */
  submodules?: (port: number) => string[]
  /** The owner's credential for a git host is found for every host. */
  anyGitHost?: boolean
  /** What the rules of a session make of a report. */
  decideReport?: DecideReport
  redactor?: (values: string[]) => Redactor
}

type DecideReport = (
  state: SessionState,
  report: RunnerReport,
  moment: Moment,
) => Decision | Refusal

export interface Gateway {
  /** What the rules have recorded of the session since it was made. */
  events: readonly SessionEvent[]
  /** From now on nothing may be reached. */
  closeNetwork(): void
  close(): Promise<void>
}

export const OWNER_KEY = 'sk-owner-of-the-attack-suite'

interface Place {
  doorsDir: string
  sessionId: string
  port: number
  modelUrl: string
  /** Value of the session's API credentials. */
  secret: string
}

export async function openGateway(place: Place, parts: GatewayParts): Promise<Gateway> {
  const { doorsDir, sessionId } = place
  const reports = createReports(place, parts)
  const showReports: DoorRoute = ({ response }) => void response.end(reports.asJson())
  const lent = await lendCredentials(place, parts.credentials)
  const { routes, closeNetwork } = createRoutes(place, parts, lent)
  const doors = createDoors({
    doorsDir,
    routes: { ...routes, reach: parts.reach ?? showReports },
    runnerEvents: () => ({
      onHello: async () => ({ generation: 1, ackedN: 0, assignment: ASSIGNMENT }),
      onParked: () => undefined,
      onConnected: () => undefined,
      onReport: async ({ report }) => {
        reports.take(report)
        return undefined
      },
      onDelta: () => undefined,
      onDisconnected: () => undefined,
    }),
    ...(parts.limits ? { limits: parts.limits } : {}),
    ...(parts.channel ? { createChannel: parts.channel } : {}),
    logger: createLogger('attack', 'fatal'),
  })
  await doors.open(sessionId)
  if (parts.hasEnded) await doors.close(sessionId)
  return { events: reports.events, closeNetwork, close: doors.closeAll }
}

/** What the runner reports, as it is stored, and what the rules of a new session record of it. Shown at the route `reach`. */
function createReports(
  { secret, sessionId }: Place,
  { decideReport, redactor = createRedactor }: GatewayParts,
) {
  const judge: DecideReport =
    decideReport ??
    ((state, report, moment) => decide(state, { type: 'runner.report', report }, moment))
  const moment = () => ({ now: new Date(), hasSlot: true })
  const made = decideCreate(sessionId, exampleSession(1), moment())
  let { state } = made
  const events: SessionEvent[] = []
  const record = (facts: NewEvent[]) => {
    for (const fact of facts)
      events.push({ sessionId, seq: events.length + 1, at: new Date().toISOString(), ...fact })
  }
  record(made.events)
  const values = redactor([secret])
  const redaction = createReportRedaction(() => values)
  const stored: RunnerReport[] = []
  const recorded: string[] = []
  return {
    take: (report: RunnerReport) => {
      for (const one of redaction.report(report)) {
        stored.push(one)
        const decision = judge(state, one, moment())
        if (isRefusal(decision)) continue
        state = decision.state
        record(decision.events)
        recorded.push(...decision.events.map(({ body }) => body.type))
      }
    },
    events,
    asJson: () => JSON.stringify({ stored, recorded }),
  }
}

/** Made when the first one is asked for. */
function createSuiteLeaves(): LeafFor {
  let leaves: Promise<LeafFor> | undefined
  return async (host) => {
    leaves ??= makeAuthority(Date.now()).then((authority) => createLeaves(authority, Date.now))
    return (await leaves)(host)
  }
}

const ASSIGNMENT = {
  kind: 'work' as const,
  repository: { name: 'r', url: '', commit: 'c0ffee', branch: 'b', baseBranch: null },
  identity: { name: 'Errand', email: 'errand@example.com' },
  sessionUrl: null,
}

function createRoutes(place: Place, parts: GatewayParts, lent: SessionCredentials) {
  const resolve = createSuiteResolve()
  const policy = { level: 'custom' as const, domains: listedDomains(place.port) }
  const urls = parts.submodules?.(place.port) ?? []
  const compile = async () =>
    compileRules(
      { ...policy, ...parts.policy, includeTrusted: true },
      {
        ...{ registries: (await parts.registries?.()) ?? [], allowedNetworks: [] },
        ...(parts.lists ? { lists: parts.lists } : {}),
      },
      lent.bound,
    )
  // The same as long as nobody edits them, as in the gateway.
  let rules: ReturnType<typeof compile> | undefined
  const rulesFor = () => {
    rules ??= compile()
    return rules
  }
  const egress = createForwardProxy({
    policyFor: rulesFor,
    dial: createDial({
      resolve,
      connect: parts.connect?.(resolve) ?? createConnect({ limitMs: 2_000 }),
      ownAddresses: () => [OWN_ADDRESS],
      ...(parts.dial ? { rules: parts.dial } : {}),
    }),
    onDecision: () => undefined,
    credentialsFor: () => lent.bound,
    ending: {
      leafFor: createSuiteLeaves(),
      secure: createSecureUpstream([]),
      ownPathsAt: submodulePaths(place, { urls, anyHost: parts.anyGitHost ?? false }),
    },
    trafficFor: () => parts.traffic,
    ...(parts.proxy ? { rules: parts.proxy } : {}),
  })
  const routes = {
    egress,
    model: createModelRoute(place, parts),
    git: parts.git ?? notHere,
    setup: notHere,
  }
  const closeNetwork = () => {
    rules = Promise.resolve(NO_RULES)
    if (!parts.keepsOpen) egress.recheck(place.sessionId, NO_RULES)
  }
  return { routes, closeNetwork }
}

const notHere: DoorRoute = () => {
  throw new AppError('not_found', 'repository_not_found', 'There is none here.')
}

function createModelRoute(place: Place, { model = {} }: GatewayParts): DoorRoute {
  const listed = compileRules(
    { level: 'custom', domains: listedDomains(place.port), includeTrusted: false },
    { registries: [], allowedNetworks: [] },
  )
  const upstream = readUpstream({
    variables: { ANTHROPIC_API_KEY: OWNER_KEY, ANTHROPIC_BASE_URL: place.modelUrl },
  }) as Upstream
  const door = createModelDoor({
    upstreamFor: () => model.upstream?.(upstream) ?? upstream,
    policy: {
      allowsHost: (_session, host) => decideHost(listed, parseHost(host), 443).allow,
      ...model.policy,
    },
    ...(model.limits ? { limits: model.limits } : {}),
    ...(model.rules ? { rules: model.rules } : {}),
    onUsage: () => undefined,
    onProblem: () => undefined,
  })
  return ({ sessionId, request, response }) => door(sessionId, request, response)
}

/** Answers from HOSTS, each name with its next answer. */
function createSuiteResolve(): Resolve {
  const asked = new Map<string, number>()
  return createResolve({
    lookup: async (name) => {
      const answers = HOSTS[name] ?? []
      const count = asked.get(name) ?? 0
      asked.set(name, count + 1)
      return answers.slice(Math.min(count, answers.length - 1)).slice(0, 1)
    },
  })
}

export interface ModelStandIn {
  url: string
  close(): void
}

/** Answers every path; says whether anything of the agent's own came along, repeats the key and takes its time when asked. */
export async function startModelStandIn(): Promise<ModelStandIn> {
  const server = createServer((request, response) => {
    answerAsModel(request, response).catch(() => response.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}

async function answerAsModel(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let body = ''
  for await (const chunk of request) body += chunk
  const headers = JSON.stringify(request.headers)
  if (body.includes('repeat the key')) {
    response.writeHead(401, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ type: 'error', error: { message: headers } }))
    return
  }
  // Long enough for all that were asked at once to be under way, on a busy machine too.
  if (body.includes('take your time')) await new Promise((resolve) => setTimeout(resolve, 4_000))
  response.writeHead(200, { 'content-type': 'application/json' })
  const text = headers.includes('mine') ? 'saw mine' : 'saw nothing'
  response.end(JSON.stringify({ type: 'message', content: [{ type: 'text', text }] }))
}
