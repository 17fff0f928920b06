import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { runChecked } from '../../lib/process.ts'
import type { Diff } from '../../protocol/api.ts'
import { AppError } from '../../protocol/errors.ts'
import type { EventBody } from '../../protocol/event.ts'
import type { SessionState } from '../../protocol/session.ts'
import { createTestCli, SESSION_CREATED } from '../cli.fixture.ts'
import { BEGIN, createErrand, DONE, QUESTION, sentTurnId, turnId } from '../errand.fixture.ts'

const SENT: EventBody[] = [
  { type: 'message.queued', turnId: sentTurnId, kind: 'agent', text: 'and the docs' },
  { type: 'turn.started', turnId: sentTurnId },
]
const INTERRUPTED: EventBody = { type: 'turn.interrupted', turnId }
const ASKED: EventBody = {
  type: 'question.asked',
  question: { ...QUESTION, turnId: sentTurnId },
}

/** A session whose first turn has ended; what follows comes with the message that is sent. */
function createSent(ended: EventBody, ...more: EventBody[]) {
  const errand = createErrand([...BEGIN, ended])
  const { sendMessage } = errand.client
  errand.client.sendMessage = async (...args) => {
    const state = await sendMessage?.(...args)
    errand.tell(...SENT, ...more)
    return state ?? { turnId: sentTurnId }
  }
  return errand
}

describe('errand send', () => {
  it('says of the message that was sent, not of the turn before it, that it waits', async () => {
    for (const ended of [DONE, INTERRUPTED]) {
      const cli = createTestCli({ client: createSent(ended, ASKED).client })
      expect(await cli.run('send', 'aaaa', 'and the docs', '--json')).toBe(6)
      const said = JSON.parse(cli.stdout.text())
      expect(said).toMatchObject({ status: 'waiting', outcome: null, exitCode: null })
    }
  })

  it('says nothing of an end that it did not wait for', async () => {
    const failed: EventBody = { type: 'turn.failed', turnId, reason: 'agent_died', message: 'no' }
    const { client } = createErrand([...BEGIN, failed])
    const cli = createTestCli({ client })
    expect(await cli.run('send', 'aaaa', 'once more', '--detach', '--json')).toBe(0)
    expect(JSON.parse(cli.stdout.text())).toMatchObject({ outcome: null, error: null })
  })

  it('has failed where its sandbox could not be prepared, after a turn that went well', async () => {
    const failed: EventBody = { type: 'session.failed', reason: 'fetch_timeout', message: 'slow' }
    const cli = createTestCli({ client: createSent(DONE, failed).client })
    expect(await cli.run('send', 'aaaa', 'and the docs', '--json')).toBe(11)
    expect(JSON.parse(cli.stdout.text())).toMatchObject({ outcome: 'failed' })
  })

  it('says how its message ended, whatever the session has done since', async () => {
    const next = `t_${'c'.repeat(20)}`
    const goneOn: EventBody[] = [
      { type: 'message.queued', turnId: next, kind: 'agent', text: 'another one' },
      { type: 'turn.started', turnId: next },
      { ...DONE, turnId: next },
    ]
    const failed: EventBody = { ...DONE, turnId: sentTurnId, exitCode: 3 }
    const cli = createTestCli({ client: createSent(DONE, failed, ...goneOn).client })
    expect(await cli.run('send', 'aaaa', 'make test', '--command', '--json')).toBe(3)
    expect(JSON.parse(cli.stdout.text())).toMatchObject({ outcome: 'completed', exitCode: 3 })
  })

  it('does not end well where its message was taken back', async () => {
    const errand = createErrand([...BEGIN])
    const { sendMessage } = errand.client
    errand.client.sendMessage = async (...args) => {
      const state = await sendMessage?.(...args)
      const [queued] = SENT as [EventBody]
      errand.tell(queued, { type: 'message.withdrawn', turnId: sentTurnId })
      return state ?? { turnId: sentTurnId }
    }
    const cli = createTestCli({ client: errand.client })
    expect(await cli.run('send', 'aaaa', 'and the docs', '--json')).toBe(6)
    expect(JSON.parse(cli.stdout.text())).toMatchObject({ outcome: null })
  })

  it('reads a message from standard input', async () => {
    const { client, calls } = createSent(DONE, { ...DONE, turnId: sentTurnId })
    expect(await createTestCli({ client, stdin: 'a long\nstory\n' }).run('send', 'aaaa', '-')).toBe(
      0,
    )
    expect(calls.find(({ name }) => name === 'sendMessage')?.args[0]).toMatchObject({
      text: 'a long\nstory\n',
    })
    expect(await createTestCli({ client, stdin: '\n' }).run('send', 'aaaa', '-')).toBe(2)
  })
})

describe('errand run', () => {
  it('has its result also where Errand is started anew just as the turn has ended', async () => {
    const { client } = createErrand([...BEGIN, DONE])
    const { getSession, getDiff } = client
    const away = new Set(['session', 'diff'])
    const unlessAway = (what: string) => {
      if (away.delete(what)) throw new AppError('unavailable', 'errand_unreachable', 'away')
    }
    client.getSession = async (...args) => {
      unlessAway('session')
      return getSession?.(...args) as Promise<SessionState>
    }
    client.getDiff = async (...args) => {
      unlessAway('diff')
      return getDiff?.(...args) as Promise<Diff>
    }
    const cli = createTestCli({ client })
    expect(await cli.run('run', 'fix it', '--repo', 'https://example.com/r', '--json')).toBe(0)
    expect(JSON.parse(cli.stdout.text())).toMatchObject({ branch: 'errand/x', filesChanged: 1 })
  })

  it('has its result also where the branch cannot be fetched, and says so and how', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'errand-run-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const [root, up] = [join(folder, 'shop'), join(folder, 'up')]
    await runChecked('git', ['init', '--quiet', '--initial-branch=main', root])
    const who = ['-c', 'user.name=A', '-c', 'user.email=a@example.com']
    const args = ['-C', root, ...who, 'commit', '--quiet', '--allow-empty', '-m', 'first']
    await runChecked('git', args)
    await runChecked('git', ['init', '--quiet', '--bare', up])
    const { client } = createErrand([...BEGIN, DONE])
    client.createUpload = async () => ({ id: 'u_x', gitPath: '/up' })
    const run = async (...more: string[]) => {
      const env = { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: folder }
      const cli = createTestCli({ client, cwd: root, env, baseUrl: `file://${folder}` })
      return { code: await cli.run('run', 'fix it', ...more), cli }
    }
    const { code, cli } = await run()
    expect(code).toBe(10)
    expect(cli.stdout.text()).toContain('branch   errand/x')
    expect(cli.stderr.text()).toMatch(
      /git fetch failed: [^\n]+ \(git_failed\).*errand fetch s_aaaaaa/,
    )
    const { cli: programs } = await run('--json')
    expect(JSON.parse(programs.stdout.text())).toMatchObject({ branch: 'errand/x', local: null })
  })

  it('reads its prompt from standard input', async () => {
    const { client, calls } = createErrand([...BEGIN, DONE])
    const cli = createTestCli({ client, stdin: 'fix\n\nit\n' })
    expect(await cli.run('run', '-', '--repo', 'https://example.com/r')).toBe(0)
    expect(calls[0]?.args[0]).toMatchObject({ prompt: 'fix\n\nit\n' })
  })
})

describe('a branch that reached a known host', () => {
  const url = 'https://github.com/shop/cart.git'
  const form = 'https://github.com/shop/cart/compare/main...errand/x?expand=1'
  const source = { kind: 'remote' as const, url, credentialId: null }
  const repository = { ...SESSION_CREATED.repository, source, url, baseBranch: 'main' }
  const pushed = (outward: 'forwarded' | 'kept'): EventBody[] => [
    { ...SESSION_CREATED, repository },
    ...BEGIN.slice(1),
    {
      ...{ type: 'push.accepted', ref: 'refs/heads/errand/x', commit: 'b'.repeat(40) },
      ...{ outward, message: '' },
    },
    DONE,
  ]

  it('comes with the link to its form for a pull request', async () => {
    const { client } = createErrand(pushed('forwarded'))
    const cli = createTestCli({ client })
    expect(await cli.run('run', 'fix it', '--repo', url)).toBe(0)
    expect(cli.stdout.text()).toContain(`request  ${form}\n`)
    const shown = createTestCli({ client })
    expect(await shown.run('show', 'aaaa')).toBe(0)
    expect(shown.stdout.text()).toMatch(/^request +https:/m)
    const json = createTestCli({ client })
    await json.run('run', 'fix it', '--repo', url, '--json')
    expect(JSON.parse(json.stdout.text())).toMatchObject({ requestUrl: form })
  })

  it('comes without while it is not there', async () => {
    const cli = createTestCli({ client: createErrand(pushed('kept')).client })
    expect(await cli.run('run', 'fix it', '--repo', url)).toBe(0)
    expect(cli.stdout.text()).not.toContain('request')
  })
})

it('shows the name of a folder, not the address that it has inside', async () => {
  const source = {
    kind: 'upload' as const,
    uploadId: `u_${'a'.repeat(20)}`,
    name: 'cart',
    origin: null,
  }
  const url = 'http://errand.internal/git/repository.git'
  const repository = { ...SESSION_CREATED.repository, source, name: 'cart', url }
  const { client } = createErrand([{ ...SESSION_CREATED, repository }, ...BEGIN.slice(1), DONE])
  const cli = createTestCli({ client })
  expect(await cli.run('show', 'aaaa')).toBe(0)
  expect(cli.stdout.text()).toMatch(/^repository +cart$/m)
})
