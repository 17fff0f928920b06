// Laws of policies, over many of them: nothing is allowed that no list names, what is denied stays denied, and joining two
// policies allows what either allows and nothing else.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  allowOnly,
  domainPatternSchema,
  isSameNetwork,
  isWider,
  joinNetworks,
  type NetworkPolicy,
} from '../../protocol/environment.ts'
import {
  hostOfPattern,
  namesHost,
  patternFor,
  policyNames,
} from '../../protocol/installation-network.ts'
import { isAddressAllowed } from './addresses.ts'
import { decideHost } from './decide.ts'
import { hostText, parseHost, parsePattern } from './hosts.ts'
import { compileRules } from './policy.ts'
import { TRUSTED_DOMAINS } from './trusted-domains.ts'

/** Few names, so that lists and questions meet often. */
const name = fc.constantFrom('a.example', 'b.example', 'x.a.example', 'y.x.a.example', 'c.test')
const port = fc.constantFrom(22, 80, 443, 8443)
const place = fc.tuple(name, port)
const pattern = fc
  .tuple(fc.boolean(), name, fc.option(fc.constantFrom(80, 8443), { nil: null }))
  .map(([below, host, own]) => `${below ? '*.' : ''}${host}${own === null ? '' : `:${own}`}`)
const list = fc.array(pattern, { maxLength: 4 })
const policy: fc.Arbitrary<NetworkPolicy> = fc.record({
  level: fc.constantFrom('none', 'trusted', 'custom', 'full'),
  domains: list,
  includeTrusted: fc.boolean(),
})
const NOTHING = { registries: [], allowedNetworks: [] }

const allows = (rules: ReturnType<typeof compileRules>, host: string, at: number) =>
  decideHost(rules, parseHost(host), at).allow
const reaches = (one: NetworkPolicy, host: string, at: number) =>
  allows(compileRules(one, NOTHING), host, at)

describe('policies', () => {
  it('allow no host that no list names, and none that is denied', () => {
    fc.assert(
      fc.property(policy, list, list, place, (one, allow, deny, [host, at]) => {
        const rules = compileRules(one, { ...NOTHING, lists: { allow, deny } })
        const isAllowed = allows(rules, host, at)
        const isNamed =
          policyNames(one, { host, port: at }) || namesHost(allow, { host, port: at }, [80, 443])
        const isDenied = namesHost(deny, { host, port: at })
        expect(isAllowed).toBe(one.level !== 'none' && isNamed && !isDenied)
      }),
    )
  })

  it('join to what either allows, in any order, and once is enough', () => {
    fc.assert(
      fc.property(policy, policy, name, port, (one, other, host, at) => {
        const joined = joinNetworks(one, other)
        expect(reaches(joined, host, at)).toBe(reaches(one, host, at) || reaches(other, host, at))
        const [trusted = ''] = TRUSTED_DOMAINS
        expect(reaches(joined, trusted, 443)).toBe(
          reaches(one, trusted, 443) || reaches(other, trusted, 443),
        )
        expect(joinNetworks(other, one)).toEqual(joined)
        expect(joinNetworks(joined, other)).toEqual(joined)
      }),
    )
  })

  it('are wider than others only when they reach more', () => {
    fc.assert(
      fc.property(policy, policy, name, port, (one, other, host, at) => {
        expect(isWider(one, one)).toBe(false)
        expect(isWider(one, joinNetworks(one, other))).toBe(false)
        if (!isWider(one, other) && reaches(one, host, at))
          expect(reaches(other, host, at)).toBe(true)
        if (isSameNetwork(one, other)) expect(reaches(one, host, at)).toBe(reaches(other, host, at))
      }),
    )
  })

  it('let a refused host through once it is allowed, and it alone', () => {
    fc.assert(
      fc.property(policy, place, place, (one, [host, at], [other, otherPort]) => {
        const asked = allowOnly(patternFor({ host, port: at }))
        const after = joinNetworks(one, asked)
        expect(reaches(after, host, at)).toBe(true)
        if (!reaches(one, other, otherPort) && reaches(after, other, otherPort)) {
          expect(other).toBe(host)
          expect([at, 80, 443]).toContain(otherPort)
        }
      }),
    )
  })

  it('never reach a private address by an odd form of it, unless the owner listed its network', () => {
    const { level } = { level: 'full' as const }
    const rules = compileRules({ level, domains: [], includeTrusted: false }, NOTHING)
    fc.assert(
      fc.property(
        fc.constantFrom(0, 10, 100, 127, 169, 172, 192, 198),
        fc.array(fc.nat(255), { minLength: 3, maxLength: 3 }),
        fc.constantFrom('decimal', 'octal', 'hex', 'short', 'number', 'mapped', 'wide'),
        (first, rest, form) => {
          const host = parseHost(oddForm([first, ...rest], form))
          expect(host.kind).toBe('address')
          expect(decideHost(rules, host, 80)).toEqual({
            ...{ allow: false, reason: 'address_not_allowed' },
          })
          const plain = [first, ...rest].join('.')
          expect(isAddressAllowed(hostText(host), [], [])).toBe(isAddressAllowed(plain, [], []))
        },
      ),
    )
  })
})

function oddForm(bytes: number[], form: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = bytes
  const number = ((a * 256 + b) * 256 + c) * 256 + d
  const hex = (byte: number) => byte.toString(16).padStart(2, '0')
  switch (form) {
    case 'octal':
      return bytes.map((byte) => `0${byte.toString(8)}`).join('.')
    case 'hex':
      return bytes.map((byte) => `0x${byte.toString(16)}`).join('.')
    case 'short':
      return `${a}.${(b * 256 + c) * 256 + d}`
    case 'number':
      return String(number)
    case 'mapped':
      return `[::ffff:${hex(a)}${hex(b)}:${hex(c)}${hex(d)}]`
    case 'wide':
      return bytes.join('.').replace(/\d/g, (digit) => String.fromCharCode(0xff10 + Number(digit)))
    default:
      return bytes.join('.')
  }
}

describe('patterns of domains', () => {
  it('are read as what they were written as, or not at all', () => {
    fc.assert(
      fc.property(
        fc.domain(),
        fc.boolean(),
        fc.option(fc.integer({ min: 1, max: 65_535 })),
        (domain, below, own) => {
          const text = `${below ? '*.' : ''}${domain}${own === null ? '' : `:${own}`}`
          expect(domainPatternSchema.parse(text.toUpperCase())).toBe(text.toLowerCase())
          expect(parsePattern(text)).toEqual({ host: domain.toLowerCase(), below, port: own })
          expect(hostOfPattern(text)).toEqual(below ? null : { host: domain, port: own ?? 443 })
        },
      ),
    )
    fc.assert(
      fc.property(fc.string(), (text) => {
        const parsed = domainPatternSchema.safeParse(text)
        if (parsed.success && parsed.data !== '*') expect(parsed.data).not.toMatch(/^\*\.?[^.]*$/)
      }),
    )
  })
})
