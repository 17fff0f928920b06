import { describe, expect, it } from 'vitest'
import { decodeCredential, encodeCredential, redact } from './credential.ts'
import { explainFailure, isButForRefs, isPassing, isStranger } from './upstream-failure.ts'

describe('explainFailure', () => {
  it('tells a disk that is full here from one at the host', () => {
    const said = 'fatal: write error: No space left on device\nfatal: early EOF'
    expect(explainFailure(said)).toMatchObject({ code: 'no_space', reason: 'disk_full' })
    expect(isPassing('disk_full')).toBe(true)
    const ofHost = explainFailure('remote: fatal: write error: No space left on device')
    expect(ofHost.reason).toBe('upstream_failed')
  })

  it.each([
    [
      "fatal: could not read Username for 'https://github.com': terminal prompts disabled",
      'repository_access_denied',
      false,
    ],
    [
      "fatal: Authentication failed for 'https://github.com/a/b.git/'",
      'repository_access_denied',
      false,
    ],
    [
      'ERROR: Permission to a/b.git denied to ada.\nfatal: Could not read from remote repository.',
      'repository_access_denied',
      false,
    ],
    [
      'ERROR: The key you are authenticating with has been marked as read only.\nfatal: Could not read from remote repository.',
      'repository_access_denied',
      false,
    ],
    [
      'ERROR: This repository was archived so it is read-only.\nfatal: Could not read from remote repository.',
      'repository_access_denied',
      false,
    ],
    [
      'remote: ERROR: This deploy key does not have write access to this project.\nfatal: Could not read from remote repository.',
      'repository_access_denied',
      false,
    ],
    [
      'remote: ERROR: You are not allowed to push code to this project.\nfatal: Could not read from remote repository.',
      'repository_access_denied',
      false,
    ],
    ["fatal: repository 'https://github.com/a/b.git/' not found", 'repository_not_found', false],
    [
      'ERROR: Repository not found.\nfatal: Could not read from remote repository.',
      'repository_not_found',
      false,
    ],
    [
      "fatal: unable to access 'https://x/': Could not resolve host: x",
      'upstream_unreachable',
      true,
    ],
    [
      "fatal: unable to access 'https://x/': The requested URL returned error: 502",
      'upstream_unreachable',
      true,
    ],
    [
      "fatal: unable to access 'https://x/': The requested URL returned error: 429",
      'upstream_rate_limited',
      true,
    ],
    [
      "fatal: unable to access 'https://x/': SSL certificate problem: self-signed certificate",
      'upstream_unreachable',
      true,
    ],
    [
      "remote: Errand refused 10.0.0.1:80 (address_not_allowed): private\nfatal: unable to access 'http://x/': The requested URL returned error: 403",
      'upstream_not_allowed',
      false,
    ],
    [
      "fatal: unable to access 'https://x/': CONNECT tunnel failed, response 403",
      'upstream_not_allowed',
      false,
    ],
    [
      "fatal: unable to access 'https://x/': CONNECT tunnel failed, response 502",
      'upstream_unreachable',
      true,
    ],
    [
      'Host key verification failed.\nfatal: Could not read from remote repository.',
      'upstream_host_key_changed',
      false,
    ],
    [
      "remote: error: cannot lock ref 'refs/heads/a': reference already exists",
      'upstream_ref_busy',
      true,
    ],
    [
      "remote: error: cannot lock ref 'refs/heads/a/b': 'refs/heads/a' exists; cannot create 'refs/heads/a/b'",
      'upstream_failed',
      true,
    ],
    [
      'remote: GitLab: Internal API unreachable\nerror: failed to push some refs',
      'upstream_broken',
      true,
    ],
    ['remote: GitLab: 500 Internal Server Error', 'upstream_broken', true],
    ['remote: do not write "Internal Server Error" in a commit', 'upstream_failed', true],
    [
      'error: RPC failed; HTTP 413 curl 22 The requested URL returned error: 413\nfatal: the remote end hung up unexpectedly',
      'upstream_too_large',
      false,
    ],
    ['fatal: something new', 'upstream_failed', true],
  ])('reads %j', (stderr, reason, passing) => {
    const failure = explainFailure(stderr)
    expect(failure.reason).toBe(reason)
    expect(isPassing(failure.reason)).toBe(passing)
    expect(failure.message).toContain('git said: ')
  })
})

it.each([
  ["fatal: Authentication failed for 'https://github.com/a/b.git/'", true],
  ["fatal: could not read Username for 'https://x': terminal prompts disabled", true],
  ['git@x: Permission denied (publickey).\nfatal: Could not read from remote repository.', true],
  ['git@x: Permission denied (gssapi-with-mic,publickey).', true],
  ["fatal: unable to access 'https://x/': The requested URL returned error: 403", false],
  ['ERROR: Permission to a/b.git denied to ada.', false],
  ['remote: error: cannot open .git/refs: Permission denied', false],
])('tells who is not known from who may not: %j', (stderr, is) => {
  expect(isStranger(stderr)).toBe(is)
})

describe('isButForRefs', () => {
  const lock = "error: cannot lock ref 'refs/heads/a': Unable to create '/m/refs/heads/a.lock'"

  it.each([
    [`${lock}: File name too long`, true],
    // A session would start from what the branch was before.
    [`${lock}: No space left on device`, false],
    [`${lock}: Disk quota exceeded`, false],
    [`${lock}: File name too long\nfatal: early EOF`, false],
  ])('of %j', (stderr, is) => {
    expect(isButForRefs(stderr)).toBe(is)
  })
})

describe('redact', () => {
  it('takes every form of the secret out', () => {
    const credential = { id: 'c', username: 'ada', secret: 'p@ss word' }
    const basic = Buffer.from('ada:p@ss word').toString('base64')
    const text = `a p@ss word b p%40ss%20word c ${basic} d`
    expect(redact(text, credential)).toBe('a [redacted] b [redacted] c [redacted] d')
    expect(redact(text)).toBe(text)
  })

  it('is not needed for what a header carries', () => {
    const credential = { id: 'c_x', username: null, secret: 'line\nline' }
    expect(decodeCredential(encodeCredential(credential))).toEqual(credential)
    for (const header of [
      undefined,
      '',
      'x',
      Buffer.from('{"id":"a b","secret":"x"}').toString('base64'),
    ])
      expect(decodeCredential(header)).toBeUndefined()
  })
})
