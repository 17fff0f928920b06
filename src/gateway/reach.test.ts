import { describe, expect, it } from 'vitest'
import type { Registry } from '../egress/registries/registry-files.ts'
import { compileRules } from '../egress/rules/policy.ts'
import { createRedactor } from '../lib/redact.ts'
import { answerReach } from './reach.ts'
import type { KnownSession } from './sessions.ts'

const registries: Registry[] = [
  { tool: 'npm', host: 'npm.example', port: 443, url: 'https://npm.example/', from: 'npm itself' },
]

function session(level: 'none' | 'trusted' | 'custom'): KnownSession {
  const policy = { level, domains: ['listed.example'], includeTrusted: false }
  const rules = compileRules(policy, { registries, allowedNetworks: [] })
  const traffic = { connectionsPerSecond: 1, bytesPerDay: 1 }
  const credentials = { bound: [], variables: {}, redactor: createRedactor([]) }
  const state = {} as KnownSession['state']
  return { rules, registries, traffic, credentials, madeFrom: '', state }
}

describe('what a session may reach', () => {
  it('is answered for the registries of its image and for each host that is asked about', () => {
    const answer = answerReach(session('trusted'), [
      'other.example:443',
      'npm.example:22',
      'a b',
      '10.0.0.1:80',
    ])
    expect(answer).toEqual({
      level: 'trusted',
      registries,
      reach: {
        'npm.example:443': null,
        'other.example:443': 'host_not_allowed',
        'npm.example:22': 'port_not_allowed',
        'a b': 'invalid_host',
        '10.0.0.1:80': 'address_not_allowed',
      },
    })
  })

  it('is what its own level allows', () => {
    expect(answerReach(session('none'), []).reach).toEqual({ 'npm.example:443': 'level_none' })
    const custom = answerReach(session('custom'), ['listed.example:443'])
    expect(custom.reach).toEqual({
      'npm.example:443': 'host_not_allowed',
      'listed.example:443': null,
    })
  })

  it('is nothing before there is a session', () => {
    expect(answerReach(undefined, ['a.example:443'])).toEqual({
      level: 'none',
      registries: [],
      reach: { 'a.example:443': 'level_none' },
    })
  })
})
