import { expect, it } from 'vitest'
import type { Client } from '../../client/client.ts'
import type { SessionAnswer, SessionSummary } from '../../protocol/api.ts'
import { AppError } from '../../protocol/errors.ts'
import { unreadableError } from '../../protocol/found-session.ts'
import { createTestCli } from '../cli.fixture.ts'

const idOf = (letter: string) => `s_${letter.repeat(20)}`
const [A, B, C] = [idOf('a'), idOf('b'), idOf('c')] as [string, string, string]
const UNREADABLE = idOf('x')

/** B cannot be archived. */
function createCli() {
  const sent: unknown[][] = []
  const summary = (id: string, title: string, name: string, status: string) =>
    ({
      ...{ id, title, status, additional: [], openQuestions: 0, place: null },
      ...{ repository: { name }, updatedAt: '2026-01-01T00:00:00.000Z' },
    }) as unknown as SessionSummary
  const client: Partial<Client> = {
    actOnSession: async (id, action) => {
      if (id === B) throw new AppError('conflict', 'session_archived', 'it is archived already')
      sent.push([id, action])
      return { id } as SessionAnswer
    },
    interruptTurn: async (id, turnId) => {
      sent.push([id, 'interrupt', turnId])
      return { id } as SessionAnswer
    },
    getSession: async (id) => {
      if (id === UNREADABLE) throw unreadableError(id)
      return { id } as SessionAnswer
    },
    removeSession: async (id) => {
      sent.push([id, 'rm'])
    },
    patchSession: async (id, patch) => {
      sent.push([id, patch])
      const { title = 'as it was', mode = 'work', model = null } = patch
      return { id, title, mode, model } as SessionAnswer
    },
    listSessions: async (query) => {
      sent.push([query])
      const sessions = [
        summary(A, 'Fix the discount', 'cart', 'idle'),
        summary(B, 'Fix the colours', 'page', 'failed'),
        summary(C, 'Old fix', 'cart', 'archived'),
      ]
      return { sessions, next: null }
    },
  }
  return { ...createTestCli({ client }), sent }
}

it('does the same to several sessions, and one that cannot keeps no other', async () => {
  const cli = createCli()
  expect(await cli.run('archive', A, B, C)).toBe(6)
  expect(cli.sent).toEqual([
    [A, 'archive'],
    [C, 'archive'],
  ])
  expect(cli.stdout.text()).toBe('s_aaaaaa is archived\ns_cccccc is archived\n')
  expect(cli.stderr.text()).toBe('errand: s_bbbbbb: it is archived already (session_archived)\n')
  const removing = createCli()
  expect(await removing.run('rm', A, C)).toBe(0)
  expect(removing.sent).toEqual([
    [A, 'rm'],
    [C, 'rm'],
  ])
})

it('removes also a session whose state cannot be read', async () => {
  const cli = createCli()
  expect(await cli.run('rm', UNREADABLE)).toBe(0)
  expect(cli.sent).toEqual([[UNREADABLE, 'rm']])
  expect(cli.stdout.text()).toBe('s_xxxxxx is removed\n')
  expect(await cli.run('show', UNREADABLE)).toBe(9)
  expect(cli.stderr.text()).toContain(`errand rm ${UNREADABLE}`)
})

it('interrupts whatever a session works on', async () => {
  const cli = createCli()
  expect(await cli.run('interrupt', A)).toBe(0)
  expect(cli.sent).toEqual([[A, 'interrupt', undefined]])
  expect(cli.stdout.text()).toBe('s_aaaaaa is interrupted\n')
})

it('does nothing where one of them is no id, and says of each what became of it with --json', async () => {
  const wrong = createCli()
  expect(await wrong.run('rm', A, 'S!')).toBe(2)
  expect(wrong.sent).toEqual([])
  const cli = createCli()
  expect(await cli.run('stop', A, B, '--json')).toBe(6)
  expect(
    cli.stdout
      .text()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line)),
  ).toEqual([
    { id: A },
    {
      sessionId: B,
      error: { code: 'conflict', reason: 'session_archived', message: 'it is archived already' },
    },
  ])
})

it('changes title, mode and model', async () => {
  const cli = createCli()
  expect(await cli.run('set', A, '--title', 'Discounts', '--mode', 'plan', '--model', 'm')).toBe(0)
  expect(cli.stdout.text()).toBe('s_aaaaaa  Discounts  (mode plan, model m)\n')
  expect(await cli.run('set', A, '--model', 'default')).toBe(0)
  expect(cli.sent).toEqual([
    [A, { title: 'Discounts', mode: 'plan', model: 'm' }],
    [A, { model: null }],
  ])
  expect(await cli.run('set', A)).toBe(2)
  expect(await cli.run('set', A, '--mode', 'fly')).toBe(2)
})

it('finds sessions by words and status', async () => {
  const found = async (...args: string[]) => {
    const cli = createCli()
    expect(await cli.run('sessions', ...args, '--json')).toBe(0)
    return (JSON.parse(cli.stdout.text()) as SessionSummary[]).map(({ id }) => id)
  }
  expect(await found()).toEqual([A, B, C])
  expect(await found('FIX', 'cart')).toEqual([A, C])
  expect(await found('--status', 'failed')).toEqual([B])
  expect(await found('cart', '--status', 'archived')).toEqual([C])
  const none = createCli()
  expect(await none.run('sessions', 'nothing')).toBe(0)
  expect(none.stdout.text()).toBe('There are none like that.\n')
  expect(none.sent).toEqual([[{ limit: 200, before: undefined, archived: false }]])
})
