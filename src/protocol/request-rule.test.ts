// Rules on methods and paths as people write them, and what joining does to them.
import { describe, expect, it } from 'vitest'
import {
  describeNetwork,
  describeRule,
  isWider,
  joinNetworks,
  type NetworkPolicy,
  parseRule,
} from './environment.ts'

const custom = (fields: Partial<NetworkPolicy>): NetworkPolicy => ({
  ...{ level: 'custom', domains: [], includeTrusted: false },
  ...fields,
})

it.each([
  ['api.example.com GET,HEAD /v1/*', ['GET', 'HEAD'], ['/v1/*']],
  ['*.example.com get', ['GET'], []],
  ['api.example.com /a,/b/*', [], ['/a', '/b/*']],
  ['api.example.com * /*', [], []],
])('%s is read', (text, methods, paths) => {
  const rule = parseRule(text)
  expect(rule).toMatchObject({ host: text.split(' ')[0], methods, paths })
  expect(rule && parseRule(describeRule(rule))).toEqual(rule)
})

it.each([
  'api.example.com',
  '*.com GET',
  'api.example.com GET /v1 more',
  'api.example.com GET /v1/../v2',
  'api.example.com GET /v1%2f',
  'api.example.com G3T',
])('%s is no rule', (text) => expect(parseRule(text)).toBeUndefined())

it('is told beside what its level allows', () => {
  const rules = [{ host: 'a.example', methods: ['GET'], paths: [] }]
  const fields = { domains: ['b.example'], includeTrusted: false, rules }
  expect(describeNetwork({ level: 'trusted', ...fields })).toBe(
    'a.example GET /*, the trusted hosts',
  )
  expect(describeNetwork({ level: 'custom', ...fields })).toBe('b.example, a.example GET /*')
  expect(describeNetwork({ level: 'none', ...fields })).toBe('nothing')
})

describe('joining', () => {
  const rules = [{ host: 'a.example', methods: ['GET'], paths: [] }]

  it('keeps a rule beside what does not list its host', () => {
    const joined = joinNetworks(custom({ rules }), custom({ domains: ['b.example'] }))
    expect(joined).toEqual(custom({ domains: ['b.example'], rules }))
    expect(joinNetworks(custom({ rules }), custom({ rules }))).toEqual(custom({ rules }))
  })

  it('drops it where the other one allows the whole host, which is wider', () => {
    expect(
      joinNetworks(custom({ rules }), custom({ domains: ['a.example'] })).rules,
    ).toBeUndefined()
    expect(isWider(custom({ domains: ['a.example'] }), custom({ rules }))).toBe(true)
    expect(isWider(custom({ rules }), custom({ rules }))).toBe(false)
  })

  it('takes those of level trusted, and none of a level that does not read them', () => {
    const trusted: NetworkPolicy = { level: 'trusted', domains: [], includeTrusted: false, rules }
    const whole = custom({ includeTrusted: true, rules })
    expect(joinNetworks(trusted, trusted)).toEqual(whole)
    expect(joinNetworks(trusted, custom({ domains: ['b.example'] }))).toEqual({
      ...whole,
      domains: ['b.example'],
    })
    expect(isWider(trusted, { ...trusted, rules: [] })).toBe(true)
    expect(joinNetworks({ ...trusted, level: 'none' }, custom({ domains: ['b.example'] }))).toEqual(
      custom({ domains: ['b.example'] }),
    )
  })
})
