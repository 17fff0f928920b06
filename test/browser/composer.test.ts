// What somebody says on the page: answers to questions, messages, commands and new tasks, and what becomes of them.
import type { Page, Route } from 'playwright-core'
import { beforeEach, describe, expect, it } from 'vitest'
import type { Fixture } from './fixture-api.ts'
import {
  append,
  asking,
  createSession,
  type FixtureSession,
  prepared,
  queued,
  ready,
  running,
  text,
  turnId,
} from './fixture-sessions.ts'
import { createStage } from './stage.ts'

const stage = createStage()
const { visit, button, timeline, sent, focused, forgive } = stage

let fixture: Fixture
let page: Page
beforeEach(() => {
  ;({ fixture, page } = stage)
})

describe('answers', () => {
  it('takes an answer by a press', async () => {
    const session = asking()
    fixture.add(session)
    await visit(session)
    await page.locator('[data-question]').waitFor()
    // Counted in the list, which has a stream of its own.
    await expect.poll(() => page.title()).toContain('needs you')
    await button(/Code after it/).click()
    await page.locator('[data-question]').waitFor({ state: 'detached' })
    expect(sent()).toMatchObject({
      path: `/sessions/${session.id}/questions/q1`,
      body: { allow: true, answers: { 'Which format?': 'Code' } },
    })
    await timeline().getByText('You: Code').waitFor()
    await expect.poll(focused).toBe('Message')
  })

  it('takes an answer by a key', async () => {
    fixture.add(asking())
    await visit(asking())
    await page.locator('[data-question]').waitFor()
    await page.keyboard.press('1')
    await page.locator('[data-question]').waitFor({ state: 'detached' })
    expect(sent()?.body).toMatchObject({ answers: { 'Which format?': 'Symbol' } })
  })

  it('takes words of one’s own', async () => {
    fixture.add(asking())
    await visit(asking())
    await page.getByPlaceholder('Or in your own words').fill('Neither')
    await page.keyboard.press('Enter')
    await page.locator('[data-question]').waitFor({ state: 'detached' })
    expect(sent()?.body).toMatchObject({ answers: { 'Which format?': 'Neither' } })
  })

  it('takes several where several may be chosen', async () => {
    fixture.add(asking('question', { multiSelect: true }))
    await visit(asking())
    await page.locator('[data-question]').waitFor()
    await page.keyboard.press('1')
    await page.keyboard.press('2')
    await button('Send answer').click()
    await page.locator('[data-question]').waitFor({ state: 'detached' })
    expect(sent()?.body).toMatchObject({ answers: { 'Which format?': 'Symbol, Code' } })
  })

  it('keeps an answer that is being written, until it is sent', async () => {
    fixture.add(asking('question', { multiSelect: true }))
    await visit(asking())
    await button(/Code after it/).click()
    await page.getByPlaceholder('Or in your own words').fill('and the name')
    await page.reload()
    await expect
      .poll(() => page.getByPlaceholder('Or in your own words').inputValue())
      .toBe('and the name')
    await button('Send answer').click()
    await page.locator('[data-question]').waitFor({ state: 'detached' })
    expect(sent()?.body).toMatchObject({ answers: { 'Which format?': 'Code, and the name' } })
    await expect.poll(() => page.evaluate('sessionStorage.length')).toBe(0)
    for (const kind of ['permission', 'plan'] as const) {
      fixture.add(asking(kind))
      page = await stage.open()
      await visit(asking())
      await page.locator('[data-question] input').fill('Keep the build')
      await page.reload()
      await expect
        .poll(() => page.locator('[data-question] input').inputValue())
        .toBe('Keep the build')
    }
  })

  it('says that a plan was not written down', async () => {
    fixture.add(asking('plan', { detail: '' }))
    await visit(asking())
    await page.locator('[data-question]').getByText('has not written its plan down').waitFor()
  })

  it('allows and denies, approves and sends back', async () => {
    const cases = [
      ['permission', 'Deny', false],
      ['permission', 'Allow', true],
      ['plan', 'Send back', false],
      ['plan', 'Approve and work', true],
    ] as const
    for (const [kind, name, allow] of cases) {
      fixture.add(asking(kind))
      page = await stage.open()
      await visit(asking())
      await button(new RegExp(`^${name}`)).click()
      await page.locator('[data-question]').waitFor({ state: 'detached' })
      expect(sent()?.body).toMatchObject({ allow })
    }
  })
})

describe('composer', () => {
  it('queues a message and takes it back into the composer', async () => {
    const session = running()
    fixture.add(session)
    await visit(session)
    const box = page.getByLabel('Message', { exact: true })
    await box.fill('Then update the readme')
    await box.press('Control+Enter')
    const queue = page.getByRole('region', { name: 'Queued messages' })
    await queue.getByText('Then update the readme').waitFor()
    await expect.poll(() => box.inputValue()).toBe('')
    await queue.getByRole('button', { name: 'Take this message back' }).click()
    await queue.waitFor({ state: 'detached' })
    await expect.poll(() => box.inputValue()).toBe('Then update the readme')
  })

  it('keeps a follow-up where its turn begins', async () => {
    const session = running()
    fixture.add(session)
    await visit(session)
    await timeline().getByText('2 files read').waitFor()
    fixture.emit(session, queued('q', 'And then this'), text('a', 'Still on the first turn'))
    await timeline().getByText('Still on the first turn').waitFor()
    expect(await timeline().getByText('And then this').count()).toBe(0)
    fixture.emit(
      session,
      { type: 'turn.completed', turnId: turnId('a'), exitCode: null, durationMs: 900 },
      { type: 'turn.started', turnId: turnId('q') },
      text('q', 'Now the second'),
    )
    await timeline().getByText('And then this').waitFor()
    const shown = (await timeline().textContent()) ?? ''
    expect(shown.indexOf('Still on the first turn')).toBeLessThan(shown.indexOf('And then this'))
    expect(shown.indexOf('And then this')).toBeLessThan(shown.indexOf('Now the second'))
  })

  it('asks once before it interrupts, changes mode, and runs a command', async () => {
    const session = running()
    fixture.add(session)
    await visit(session)
    await timeline().getByText('2 files read').waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('alertdialog').waitFor()
    expect(fixture.requests).toEqual([])
    await page.keyboard.press('Enter')
    await timeline().getByText('Interrupted').waitFor()
    await page.getByLabel('Mode', { exact: true }).selectOption('plan')
    await timeline().getByText('Mode: plan').waitFor()
    const box = page.getByLabel('Message', { exact: true })
    await box.fill('!npm run lint')
    await box.press('Control+Enter')
    await expect.poll(() => sent()?.body).toMatchObject({ text: 'npm run lint', kind: 'command' })
  })

  it('interrupts the turn that it asked about, and no other', async () => {
    const session = running()
    fixture.add(session)
    await visit(session)
    await timeline().getByText('2 files read').waitFor()
    fixture.emit(session, queued('q', 'And then this'))
    await page.keyboard.press('Escape')
    await page.getByRole('alertdialog').waitFor()
    fixture.emit(
      session,
      { type: 'turn.completed', turnId: turnId('a'), exitCode: null, durationMs: 900 },
      { type: 'turn.started', turnId: turnId('q') },
    )
    await page.getByRole('alertdialog').waitFor({ state: 'detached' })
    await page.keyboard.press('Escape')
    await page.getByRole('alertdialog').waitFor()
    await page.keyboard.press('Enter')
    await timeline().getByText('Interrupted').waitFor()
    const interrupts = fixture.requests.filter(({ path }) => path.includes('/interrupt'))
    expect(interrupts.map(({ path }) => path)).toEqual([
      expect.stringContaining(`/interrupt?turnId=${turnId('q')}`),
    ])
  })

  it('says when a message was not sent and keeps it', async () => {
    const session = running()
    fixture.add(session)
    await visit(session)
    const box = page.getByLabel('Message', { exact: true })
    await box.fill('Keep me')
    fixture.down = true
    await box.press('Control+Enter')
    await page.getByText('The message was not sent').waitFor()
    await expect.poll(() => box.inputValue()).toBe('Keep me')
    fixture.down = false
    await button('Try again').first().click()
    await page.getByRole('region', { name: 'Queued messages' }).getByText('Keep me').waitFor()
    // Named by the page, so that it would count once if it had arrived before.
    const sent = fixture.requests.findLast(({ path }) => path.endsWith('/messages'))
    expect(sent?.body).toMatchObject({ text: 'Keep me', turnId: expect.stringMatching(/^t_/) })
    forgive('ERR_')
  })

  it('does not say so any more once the session shows it: only its answer was lost', async () => {
    const session = running()
    fixture.add(session)
    await visit(session)
    const box = page.getByLabel('Message', { exact: true })
    await box.fill('Arrived')
    fixture.down = true
    const asked = page.waitForRequest('**/messages')
    await box.press('Control+Enter')
    const { turnId: named } = (await asked).postDataJSON()
    await page.getByText('The message was not sent').waitFor()
    await box.fill('Arrived\n\nAnd more')
    fixture.down = false
    const text = 'Arrived'
    fixture.emit(session, { type: 'message.queued', turnId: named, kind: 'agent', text })
    await page.getByRole('region', { name: 'Queued messages' }).getByText(text).waitFor()
    await page.getByText('The message was not sent').waitFor({ state: 'detached' })
    await expect.poll(() => box.inputValue()).toBe('And more')
    forgive('ERR_')
  })

  it('gives back what was not sent, also when its session was left meanwhile', async () => {
    const [session, other] = [running(), ready()]
    fixture.add(session, other)
    await visit(session)
    const box = page.getByLabel('Message', { exact: true })
    await box.fill('Keep me')
    const refusal = await hold('**/messages')
    await box.press('Control+Enter')
    await refusal.reached
    await goTo(other)
    await goTo(session)
    expect(await box.inputValue()).toBe('')
    await refusal.release()
    await expect.poll(() => box.inputValue()).toBe('Keep me')
    forgive('ERR_')
  })

  it('gives back what was taken back, also when its session was left meanwhile', async () => {
    const [session, other] = [running(), ready()]
    fixture.add(session, other)
    fixture.emit(session, queued('q', 'And then this'))
    await visit(session)
    const answer = await hold('**/messages/*', 'continue')
    await button('Take this message back').click()
    await answer.reached
    await goTo(other)
    await answer.release()
    await expect.poll(() => sent()?.method).toBe('DELETE')
    await goTo(session)
    const box = page.getByLabel('Message', { exact: true })
    await expect.poll(() => box.inputValue()).toBe('And then this')
  })

  it('has in the composer what could not be sent again', async () => {
    const session = createSession({ letter: 'a', title: 'Add a currency' })
    const failed = { reason: 'api_error', message: 'The model was busy.' }
    append(session, { type: 'turn.failed', turnId: turnId('a'), ...failed })
    fixture.add(session)
    await visit(session)
    await timeline().getByText('The model was busy.').waitFor()
    fixture.down = true
    await button('Send it again').click()
    await page.getByText('The message was not sent').waitFor()
    const box = page.getByLabel('Message', { exact: true })
    await expect.poll(() => box.inputValue()).toBe('Add a currency')
    fixture.down = false
    await button('Try again').first().click()
    await expect.poll(() => sent()?.body).toMatchObject({ text: 'Add a currency', kind: 'agent' })
    forgive('ERR_')
  })

  it('is written in as quickly beside a long conversation', async () => {
    const said = `All **of** it:\n\n- one\n- two\n\n${'word '.repeat(100)}`
    const long = createSession({
      ...{ letter: 'b', title: 'Long' },
      facts: [...prepared, ...Array.from({ length: 190 }, () => text('b', said))],
    })
    const timeToWrite = async (session: FixtureSession) => {
      fixture.add(session)
      await visit(session)
      await timeline().locator('.prose strong').last().waitFor()
      await page.getByLabel('Message').focus()
      const startedAt = performance.now()
      await page.keyboard.type('and what of the documentation?')
      return performance.now() - startedAt
    }
    const short = await timeToWrite(ready('c'))
    expect(await timeToWrite(long)).toBeLessThan(6 * short + 1000)
  })

  it('sends while the browser takes itself for offline: Errand may be on this very machine', async () => {
    const session = running()
    fixture.add(session)
    await visit(session)
    const box = page.getByLabel('Message', { exact: true })
    await box.fill('Without a network')
    await page.evaluate(`dispatchEvent(new Event('offline'))`)
    await box.press('Control+Enter')
    const queue = page.getByRole('region', { name: 'Queued messages' })
    await queue.getByText('Without a network').waitFor()
  })
})

describe('a new task', () => {
  async function write(task: string): Promise<void> {
    await page.goto(fixture.url)
    await page.getByPlaceholder('https://github.com/you/project').fill('https://git.example.com/a')
    await page.getByLabel('Task', { exact: true }).fill(task)
  }
  const tasks = () => fixture.requests.filter(({ path }) => path === '/sessions')
  const turnIds = () => tasks().map(({ body }) => (body as { turnId?: string }).turnId)

  it('of which nobody knows whether it was started is sent again as the same one', async () => {
    fixture.add(running())
    await write('Add a currency')
    const arrived = async (route: Route) => {
      await route.fetch()
      await route.abort()
    }
    await page.route('**/api/v1/sessions', arrived, { times: 1 })
    await button('Start task').click()
    await page.getByText('The task was not started').waitFor()
    await button('Try again').first().click()
    await page.waitForURL(/\/sessions\/s_a/)
    expect(tasks()).toHaveLength(2)
    expect(tasks()[1]).toEqual(tasks()[0])
    expect(turnIds()[0]).toMatch(/^t_/)
    // Once it has arrived, the same words are another task.
    await write('Add a currency')
    await button('Start task').click()
    await page.waitForURL(/\/sessions\/s_a/)
    await expect.poll(() => new Set(turnIds()).size).toBe(2)
    forgive('ERR_')
  })

  it('that was left while it was being started is not written there any more', async () => {
    const session = running()
    fixture.add(session)
    await write('Add a currency')
    const answer = await hold('**/api/v1/sessions', 'continue')
    await button('Start task').click()
    await answer.reached
    await goTo(session)
    await answer.release()
    await expect.poll(() => tasks().length).toBe(1)
    await page.getByRole('link', { name: 'New task' }).first().click()
    const box = page.getByLabel('Task', { exact: true })
    await expect.poll(() => box.inputValue()).toBe('')
  })
})

/** By a press in the list of sessions. */
async function goTo({ id }: { id: string }): Promise<void> {
  const list = page.getByRole('navigation', { name: 'Sessions' })
  await list.locator(`a[href$="${id}"]`).click()
  await page.waitForURL(`**/${id}`)
}

/** Holds the next request to such an address; what becomes of it is seen once it is let go. */
async function hold(address: string, end: 'abort' | 'continue' = 'abort') {
  const reached = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  await page.route(
    address,
    async (route) => {
      reached.resolve()
      await released.promise
      await route[end]()
    },
    { times: 1 },
  )
  return { reached: reached.promise, release: async () => released.resolve() }
}
