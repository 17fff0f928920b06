import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { NetworkPolicy } from '../../protocol/environment.ts'
import { decideHost, denialText } from './decide.ts'
import { parseHost, parsePattern } from './hosts.ts'
import { compileRules, networksFor } from './policy.ts'
import { TRUSTED_DOMAINS } from './trusted-domains.ts'

const NOTHING = { registries: [], allowedNetworks: [] }

const policy = (fields: Partial<NetworkPolicy>): NetworkPolicy => ({
  level: 'custom',
  domains: [],
  includeTrusted: false,
  ...fields,
})

function decide(fields: Partial<NetworkPolicy>, host: string, port = 443, installation = NOTHING) {
  const decision = decideHost(compileRules(policy(fields), installation), parseHost(host), port)
  return decision.allow ? 'allow' : decision.reason
}

describe('decideHost', () => {
  it('refuses everything at none', () => {
    const registries = [{ host: 'registry.example', port: 443 }]
    expect(decide({ level: 'none', domains: ['a.example'] }, 'a.example')).toBe('level_none')
    const rules = compileRules(policy({ level: 'none' }), { registries, allowedNetworks: [] })
    expect(decideHost(rules, parseHost('registry.example'), 443)).toEqual({
      allow: false,
      reason: 'level_none',
    })
  })

  it('matches names exactly, whatever their case, dot or script', () => {
    const domains = ['a.example', 'bücher.example']
    expect(decide({ domains }, 'a.example')).toBe('allow')
    expect(decide({ domains }, 'A.EXAMPLE.')).toBe('allow')
    expect(decide({ domains }, 'xn--bcher-kva.example')).toBe('allow')
    expect(decide({ domains }, 'b.a.example')).toBe('host_not_allowed')
    expect(decide({ domains }, 'a.example.evil.example')).toBe('host_not_allowed')
    expect(decide({ domains }, 'xa.example')).toBe('host_not_allowed')
    expect(decide({ domains }, 'a.example%00.evil')).toBe('invalid_host')
  })

  it('lets *. stand for one label or more, never for none', () => {
    const domains = ['*.example.org']
    expect(decide({ domains }, 'a.example.org')).toBe('allow')
    expect(decide({ domains }, 'b.a.example.org')).toBe('allow')
    expect(decide({ domains }, 'example.org')).toBe('host_not_allowed')
    expect(decide({ domains }, 'badexample.org')).toBe('host_not_allowed')
  })

  it('allows the ports of the web, or the one that an entry names', () => {
    expect(decide({ domains: ['a.example'] }, 'a.example', 80)).toBe('allow')
    expect(decide({ domains: ['a.example'] }, 'a.example', 22)).toBe('port_not_allowed')
    expect(decide({ domains: ['a.example:8443'] }, 'a.example', 8443)).toBe('allow')
    expect(decide({ domains: ['a.example:8443'] }, 'a.example', 443)).toBe('port_not_allowed')
    expect(decide({ level: 'full' }, 'a.example', 0)).toBe('port_not_allowed')
    expect(decide({ level: 'full' }, 'a.example', 65_536)).toBe('port_not_allowed')
  })

  it('allows the built-in list and the registries at trusted', () => {
    const registries = [{ host: 'registry.example', port: 4873 }]
    const rules = compileRules(policy({ level: 'trusted', domains: ['a.example'] }), {
      registries,
      allowedNetworks: [],
    })
    const ask = (host: string, port: number) => decideHost(rules, parseHost(host), port).allow
    for (const domain of TRUSTED_DOMAINS) expect(ask(domain.replace('*', 'x'), 443)).toBe(true)
    expect(ask('registry.example', 4873)).toBe(true)
    expect(ask('registry.example', 443)).toBe(false)
    expect(ask('a.example', 443)).toBe(false)
    const custom = { domains: ['a.example'], includeTrusted: true }
    expect(decide(custom, TRUSTED_DOMAINS[0] ?? '')).toBe('allow')
    expect(decide({ domains: ['a.example'] }, TRUSTED_DOMAINS[0] ?? '')).toBe('host_not_allowed')
  })

  it.each(['8.8.8.8', '134744072', '0x8080808', '[2606:4700::1]', '127.0.0.1', '0x7f.1'])(
    'refuses the address %s at every level unless it is listed itself',
    (address) => {
      expect(decide({ level: 'trusted' }, address)).toBe('address_not_allowed')
      expect(decide({ level: 'full' }, address)).toBe('address_not_allowed')
      expect(decide({ domains: ['*.example.org'] }, address)).toBe('address_not_allowed')
    },
  )

  it('allows a listed address in every notation of it', () => {
    expect(decide({ domains: ['8.8.8.8'] }, '134744072')).toBe('allow')
    const installation = {
      registries: [],
      allowedNetworks: [{ host: '10.0.0.5', network: '10.0.0.0/24' }],
    }
    const rules = compileRules(policy({ level: 'full' }), installation)
    expect(decideHost(rules, parseHost('10.0.0.5'), 443).allow).toBe(true)
    expect(decideHost(rules, parseHost('10.0.0.6'), 443).allow).toBe(false)
  })

  it('allows at full every name that parses, and at a list none but those of the list', () => {
    fc.assert(
      fc.property(fc.domain(), (domain) => {
        if (parseHost(domain).kind !== 'name') return
        expect(decide({ level: 'full' }, domain)).toBe('allow')
        expect(decide({ domains: ['only.example'] }, domain)).toBe('host_not_allowed')
      }),
    )
  })
})

describe('parsePattern and networksFor', () => {
  it.each(['', '*', '*.', '*.10.0.0.1', 'a b', 'http://a.example', 'a.example/x', '*.*.example'])(
    'takes %j for no pattern',
    (text) => {
      expect(parsePattern(text)).toBeNull()
    },
  )

  it('gives a host the networks that were listed for it', () => {
    const rules = compileRules(policy({ level: 'full' }), {
      registries: [],
      allowedNetworks: [
        { host: 'git.corp.example', network: '10.1.0.0/16' },
        { host: '*.corp.example', network: '10.2.0.0/16' },
        { host: 'other.example', network: 'nonsense' },
      ],
    })
    expect(networksFor(rules, 'git.corp.example')).toHaveLength(2)
    expect(networksFor(rules, 'x.corp.example')).toHaveLength(1)
    expect(networksFor(rules, 'corp.example')).toHaveLength(0)
    expect(networksFor(rules, 'other.example')).toHaveLength(0)
  })
})

describe('denialText', () => {
  it('names the host, the reason and the way out in one line', () => {
    const text = denialText('a.example:443', 'host_not_allowed')
    expect(text).toContain('a.example:443 (host_not_allowed)')
    expect(text).toContain('Add it to the allowed domains')
    expect(text.trimEnd()).not.toContain('\n')
  })
})
