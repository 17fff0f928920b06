import { describe, expect, it } from 'vitest'
import { findSecretHints } from './secret-hints.ts'

const shaped = (prefix: string, length = 36) => prefix + 'a1B2'.repeat(20).slice(0, length)

describe('what looks like a secret', () => {
  it.each([
    ['GITHUB_TOKEN', 'something', 'name', 'github.com'],
    ['db_password', 'hunter2', 'name', null],
    ['STRIPE_API_KEY', 'something', 'name', null],
    ['HELLO', shaped('ghp_'), 'value', 'github.com'],
    ['HELLO', shaped('github_pat_'), 'value', 'github.com'],
    ['HELLO', shaped('glpat-', 20), 'value', 'gitlab.com'],
    ['DATABASE_URL', 'postgres://app:hunter2@db.example/app', 'value', null],
    ['KEY_PEM', '-----BEGIN OPENSSH PRIVATE KEY-----\nabc', 'value', null],
    ['HELLO', shaped('sk-ant-'), 'value', null],
  ])('%s', (name, value, why, host) => {
    expect(findSecretHints({ [name]: value })).toEqual([{ name, why, host }])
  })

  it.each([
    ['NODE_ENV', 'production'],
    ['MAX_TOKENS', '4096'],
    ['TOKEN_LIMIT', '100'],
    ['API_KEY', ''],
    ['GH_TOKEN', 'proxy-injected'],
    ['SSH_KEY_PATH', '/etc/key'],
    ['DATABASE_URL', 'postgres://db.example/app'],
    ['COMPASS', 'north'],
    ['TOKENIZERS_PARALLELISM', 'false'],
  ])('not %s', (name, value) => expect(findSecretHints({ [name]: value })).toEqual([]))
})
