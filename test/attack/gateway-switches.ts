// How each control of the gateway is left out: what is handed to the functions that make it. `both` is what a case needs on
// either side, since another control would hold the same attack, or a limit is too large for a test.
import { z } from 'zod'
import { createRunnerChannel, RUNNER_LIMITS } from '../../src/door/runner-channel.ts'
import type { RunnerLimits } from '../../src/door/runner-connection.ts'
import { createConnect } from '../../src/egress/dialling/connect.ts'
import { decideHost } from '../../src/egress/rules/decide.ts'
import { createRedactor } from '../../src/lib/redact.ts'
import { createModelCaps } from '../../src/model/caps.ts'
import type { RunnerFrame } from '../../src/protocol/runner-frames.ts'
import { decide } from '../../src/sessions/rules/decide.ts'
import type { GatewayParts } from './gateway.ts'
import type { AttackSandbox } from './sandboxes.ts'

const isHost = (text: string) => text.toLowerCase() === 'host'

export interface GatewaySwitch {
  both?: GatewayParts
  /** What is there with the control alone. */
  on?: GatewayParts
  off: GatewayParts | ((sandbox: AttackSandbox) => GatewayParts)
}

/** As the real one, but for refusals with this reason. */
const deciding =
  (leftOut: string): typeof decideHost =>
  (...asked) => {
    const decision = decideHost(...asked)
    return decision.allow || decision.reason !== leftOut ? decision : { allow: true }
  }

const everyAddress = { isAddressAllowed: () => true }

const channelWith =
  (limits: Partial<RunnerLimits>, frames?: z.ZodType<RunnerFrame>): GatewayParts['channel'] =>
  (events) =>
    createRunnerChannel(events, { ...RUNNER_LIMITS, ...limits }, () => performance.now(), frames)

/** Whatever names its type is taken. */
const anyFrame = z.looseObject({ type: z.string() }) as unknown as z.ZodType<RunnerFrame>

/** Of a session that has cost so much, and may cost one dollar. */
const capsOfOneDollar = (costUsd: number) =>
  createModelCaps(
    { allowed: [], tokens: 0, usd: 1 },
    {
      stored: () => ({
        ...{ inputTokens: 0, outputTokens: 0, cacheReadTokens: 0, cacheCreationTokens: 0 },
        costUsd,
      }),
      waiting: () => [],
    },
  )

/** Addresses at a host that the owner keeps no credential for, some of which look like the forge that there is one for. */
const namedSubmodules = (port: number): string[] => [
  `https://allowed.example:${port}/team/private.git`,
  `https://forge.example@allowed.example:${port}/team/private.git`,
  `https://allowed.example:${port}/forge.example/../team/private.git`,
  `../../../allowed.example:${port}/team/private.git`,
]

export const NETWORK_SWITCHES: Record<string, GatewaySwitch> = {
  'host-not-listed': { off: { dial: { decideHost: deciding('host_not_allowed') } } },
  'port-not-listed': { off: { dial: { decideHost: deciding('port_not_allowed') } } },
  'raw-address': { off: { dial: { decideHost: deciding('address_not_allowed') } } },
  'forbidden-address': { off: { dial: everyAddress } },
  rebinding: {
    off: {
      connect: (resolve) => async (_addresses, port, signal) => {
        const again = await resolve('rebinding.example', signal)
        return createConnect()(again, port, signal)
      },
    },
  },
  'server-name': { off: { proxy: { judgeGreeting: () => null } } },
  'host-header': {
    off: { proxy: { upstreamHeaders: (raw) => ['Host', raw[raw.findIndex(isHost) + 1] ?? ''] } },
  },
  'request-framing': { off: { proxy: { framingFault: () => null } } },
  'deny-list': { on: { lists: { allow: [], deny: ['banned.example'] } }, off: {} },
  'request-rule': {
    on: {
      policy: {
        rules: [{ host: 'ruled.example', methods: ['GET'], paths: ['/open'] }],
      },
    },
    off: {},
  },
  'traffic-limit': {
    on: { traffic: { connectionsPerSecond: 1000, bytesPerDay: 400 } },
    off: {},
  },
  'policy-edit': { off: { keepsOpen: true } },
  'credential-scope': {
    both: { credentials: 'own' },
    off: { proxy: { pickCredential: ([first]) => first } },
  },
  'other-session-credential': {
    both: { credentials: 'other' },
    off: { credentials: 'own' },
  },
  'submodule-credential': {
    both: { submodules: namedSubmodules },
    off: { submodules: namedSubmodules, anyGitHost: true },
  },
  'tls-unread': { off: { proxy: { isJudgedByHost: () => false } } },
  'registry-file': {
    off: ({ run }) => ({
      registries: async () => {
        const found = await run('cat /workspace/.npmrc /root/.npmrc')
        return [...found.matchAll(/^registry=(.*)$/gm)].map(([, text = '']) => {
          const { hostname, port } = new URL(text)
          return { host: hostname, port: Number(port) }
        })
      },
    }),
  },
}

export const MODEL_SWITCHES: Record<string, GatewaySwitch> = {
  'provider-reaches-out': { off: { model: { rules: { checkRequest: () => undefined } } } },
  'model-paths': {
    off: {
      model: { rules: { readTarget: (path) => ({ form: 'messages', asks: 'message', path }) } },
    },
  },
  'own-key': {
    off: {
      model: {
        rules: {
          passRequestHeaders: (headers) =>
            Object.fromEntries(
              Object.entries(headers).flatMap(([name, value]) =>
                typeof value === 'string' && name !== 'content-length' ? [[name, value]] : [],
              ),
            ),
        },
      },
    },
  },
  'key-in-an-error': {
    off: { model: { upstream: (upstream) => ({ ...upstream, secrets: () => [] }) } },
  },
  'model-at-once': { off: { model: { limits: { maxConcurrent: 1000 } } } },
  'model-tokens': {
    on: { model: { policy: { hasTokensLeft: () => false } } },
    off: {},
  },
  'model-cost': {
    on: { model: { policy: capsOfOneDollar(1) } },
    off: {},
  },
  'model-uncounted-cost': {
    on: { model: { policy: capsOfOneDollar(0) } },
    off: {},
  },
  'model-not-allowed': {
    on: { model: { policy: { allowsModel: (_session, model) => model === 'claude-test' } } },
    off: {},
  },
}

const HALF_HOUR_MS = 30 * 60_000

export const DOOR_SWITCHES: Record<string, GatewaySwitch> = {
  'door-connections': {
    // So that none of them makes room for another one.
    both: { limits: { headersMs: HALF_HOUR_MS } },
    off: { limits: { headersMs: HALF_HOUR_MS, connections: 100_000 } },
  },
  'door-slow-head': {
    on: { limits: { headersMs: 500 } },
    off: {},
  },
  'door-large-head': { off: { limits: { headerBytes: 1 << 20 } } },
  'door-large-body': {
    both: { model: { limits: { maxBodyBytes: 1 << 30 } } },
    off: { limits: { modelBodyBytes: 1 << 30 } },
  },
  'door-request-rate': { off: { limits: { requests: { perSecond: 1e6, burst: 1e6 } } } },
  'ended-request-rate': {
    both: { credentials: 'own' },
    off: { credentials: 'own', limits: { requests: { perSecond: 1e6, burst: 1e6 } } },
  },
  'frame-size': { off: { channel: channelWith({ frameBytes: 64 << 20 }) } },
  'frame-rate': { off: { channel: channelWith({ rate: { perSecond: 1e6, burst: 1e6 } }) } },
  'frame-garbage': { off: { channel: channelWith({ invalidFrames: 1e6 }) } },
  'forged-facts': { off: { channel: channelWith({}, anyFrame) } },
  'stale-claim': {
    off: {
      decideReport: (state, report, moment) => {
        const { turn, sandbox } = state
        const turnId = 'turnId' in report ? report.turnId : undefined
        const generation = 'generation' in report ? report.generation : sandbox.generation
        const current = turn && typeof turnId === 'string' ? { ...turn, id: turnId } : turn
        const taken = { ...state, turn: current, sandbox: { ...sandbox, generation } }
        return decide(taken, { type: 'runner.report', report }, moment)
      },
    },
  },
  'secret-in-a-report': { off: { redactor: () => createRedactor([]) } },
  'after-the-end': { on: { hasEnded: true }, off: {} },
}
