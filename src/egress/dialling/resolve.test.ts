import { describe, expect, it } from 'vitest'
import { createResolve, parseHostsFile } from './resolve.ts'

const never = new AbortController().signal

describe('createResolve', () => {
  it('gives all addresses, but not without end', async () => {
    const many = Array.from({ length: 40 }, (_, i) => `192.0.2.${i}`)
    expect(await createResolve({ lookup: async () => many })('a.example', never)).toHaveLength(16)
  })

  it('tells a name that is not there from one that takes too long', async () => {
    const fail = (code: string) =>
      createResolve({
        lookup: async () => Promise.reject(Object.assign(new Error(code), { code })),
      })('a.example', never)
    await expect(fail('ENOTFOUND')).rejects.toMatchObject({
      code: 'unavailable',
      reason: 'dns_failed',
    })
    await expect(fail('ETIMEOUT')).rejects.toMatchObject({ code: 'timeout', reason: 'dns_timeout' })
    const silent = createResolve({ lookup: () => new Promise(() => undefined), limitMs: 10 })
    await expect(silent('a.example', never)).rejects.toMatchObject({ reason: 'dns_timeout' })
  })
})

describe('parseHostsFile', () => {
  it('finds all addresses of a name, by any of its aliases', () => {
    const text = [
      '127.0.0.1 localhost',
      '192.0.2.1\tmirror.example Mirror # comment other.example',
      '# 192.0.2.9 mirror.example',
      '2001:db8::1 mirror.example',
      '',
    ].join('\n')
    expect(parseHostsFile(text, 'mirror.example')).toEqual(['192.0.2.1', '2001:db8::1'])
    expect(parseHostsFile(text, 'mirror')).toEqual(['192.0.2.1'])
    expect(parseHostsFile(text, 'other.example')).toEqual([])
  })
})
