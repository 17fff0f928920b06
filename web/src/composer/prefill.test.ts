import { describe, expect, it } from 'vitest'
import { EMPTY_FIELDS } from './new-task-draft.ts'
import { namedEnvironment, prefilled, readPrefill } from './prefill.ts'

describe('readPrefill', () => {
  it('reads long and short names, and what the router made a number of', () => {
    const long = { prompt: 'fix it', repositories: 'https://a.example/r', environment: 'tests' }
    expect(readPrefill({ ...long, panel: 'changes' })).toEqual(long)
    expect(readPrefill({ q: 42, repo: 'https://a.example/r' })).toEqual({
      prompt: '42',
      repositories: 'https://a.example/r',
    })
    expect(readPrefill({ prompt: 'long', q: 'short' })).toEqual({ prompt: 'long' })
    expect(readPrefill({ prompt: ' ', q: { deep: 1 } })).toEqual({})
  })
})

describe('prefilled', () => {
  it('takes the first repository as the main one and leaves out what is empty', () => {
    expect(prefilled({ repositories: ' https://a.example/r , ,https://b.example/s' })).toEqual({
      ...EMPTY_FIELDS,
      url: 'https://a.example/r',
      additional: [{ key: 0, url: 'https://b.example/s', baseBranch: '', access: 'write' }],
    })
    expect(prefilled({ prompt: 'x', environment: 'tests' })).toEqual({ environment: 'tests' })
  })
})

describe('namedEnvironment', () => {
  it('finds by name and by id what can be chosen', () => {
    const tests = { id: 'e_1', name: 'tests', archivedAt: null }
    const old = { id: 'e_2', name: 'old', archivedAt: '2026-01-01T00:00:00.000Z' }
    expect(namedEnvironment('e_1', [tests])).toBe('tests')
    expect(namedEnvironment('tests', [old, tests])).toBe('tests')
    expect(namedEnvironment('e_2', [old])).toBeUndefined()
  })
})
