import { expect, it } from 'vitest'
import type { EgressDecision } from '../egress/proxy/exchange.ts'
import { createRedactor } from '../lib/redact.ts'
import { tellDecisions } from './decisions.ts'

const VALUE = 'Tok3nWithCapitals0123456789'

const decision = (fields: Partial<EgressDecision> = {}): EgressDecision => ({
  ...{ id: 'c1', sessionId: 's_a', startedMs: 1, host: 'a.example', port: 443, method: 'CONNECT' },
  ...{ allowed: false, reason: 'host_not_allowed', bytesUp: 0, bytesDown: 0, durationMs: 5 },
  ...fields,
})

function setUp() {
  const told: { to: string; host: string }[] = []
  const note = (to: string) => (seen: EgressDecision) => void told.push({ to, host: seen.host })
  const sessions = new Set(['s_a'])
  const tell = tellDecisions({
    redactorOf: (id) => (sessions.has(id) ? createRedactor([VALUE]) : undefined),
    reports: { decided: note('events') },
    log: { opened: note('open'), decided: note('log') },
  })
  return { told, sessions, ...tell }
}

it('stores no host with the value of a credential in its name', () => {
  const { told, onOpen, onDecision } = setUp()
  const host = `${VALUE.toLowerCase()}.evil.example`
  onOpen(decision({ host, allowed: true, reason: null }))
  onDecision(decision({ host }))
  const left = '[redacted].evil.example'
  expect(told).toEqual(['open', 'events', 'log'].map((to) => ({ to, host: left })))
})

it('tells every other name as it is, and nothing of what is no session', () => {
  const { told, onOpen, onDecision } = setUp()
  onDecision(decision())
  onDecision(decision({ sessionId: 's_b' }))
  onOpen(decision({ sessionId: 's_b' }))
  expect(told).toEqual(['events', 'log'].map((to) => ({ to, host: 'a.example' })))
})

it('tells the end of a connection that was open when its door was closed', () => {
  const { told, sessions, onOpen, onDecision } = setUp()
  const host = `${VALUE.toLowerCase()}.evil.example`
  onOpen(decision({ host, allowed: true, reason: null }))
  sessions.clear()
  onDecision(decision({ host, allowed: true, reason: null }))
  onDecision(decision({ id: 'c2', host }))
  expect(told).toEqual(
    ['open', 'events', 'log'].map((to) => ({ to, host: '[redacted].evil.example' })),
  )
})
