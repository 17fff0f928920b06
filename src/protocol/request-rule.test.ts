// Rules on methods and paths as people write them, and what joining does to them.
import { describe, expect, it } from 'vitest'
import {
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
})
