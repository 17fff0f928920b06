// What somebody sent and nobody answered: it counts once, whether it had arrived or not.
import type { Page } from 'playwright-core'
import { beforeEach, describe, expect, it } from 'vitest'
import type { Fixture } from './fixture-api.ts'
import { append, createSession, queued, running, turnId } from './fixture-sessions.ts'
import { createStage } from './stage.ts'

const stage = createStage()
const { visit, button, timeline, forgive } = stage
let page: Page
let fixture: Fixture
beforeEach(() => {
  ;({ page, fixture } = stage)
})

const message = () => page.getByLabel('Message', { exact: true })
const text = 'Add a currency'

describe('a message', () => {
  it('of an earlier turn is sent again once, also when only its answer was lost', async () => {
    const session = createSession({ letter: 'a', title: text })
    const failed = { reason: 'api_error', message: 'The model was busy.' }
    append(session, { type: 'turn.failed', turnId: turnId('a'), ...failed })
    fixture.add(session)
    await visit(session)
    await timeline().getByText('The model was busy.').waitFor()
    fixture.down = true
    const asked = page.waitForRequest('**/messages')
    await button('Send it again').click()
    const { turnId: named } = (await asked).postDataJSON()
    await expect.poll(() => message().inputValue()).toBe(text)
    fixture.down = false
    fixture.emit(session, { type: 'message.queued', turnId: named, kind: 'agent', text })
    await page.getByText('The message was not sent').waitFor({ state: 'detached' })
    await expect.poll(() => message().inputValue()).toBe('')
    forgive('ERR_')
    forgive('before receiving a handshake')
  })

  it('that the page did not know of when it was loaded anew is there, and sent again as the same', async () => {
    const session = running()
    fixture.add(session)
    await visit(session)
    await page.route('**/messages', () => undefined, { times: 1 })
    const asked = page.waitForRequest('**/messages')
    await message().fill(text)
    await message().press('Control+Enter')
    const { turnId: named } = (await asked).postDataJSON()
    await page.reload()
    await expect.poll(() => message().inputValue()).toBe(text)
    const again = page.waitForRequest('**/messages')
    await message().press('Control+Enter')
    expect((await again).postDataJSON()).toMatchObject({ text, turnId: named })
    const queue = page.getByRole('region', { name: 'Queued messages' })
    await queue.getByText(text).waitFor()
    await page.reload()
    await queue.getByText(text).waitFor()
    expect(await message().inputValue()).toBe('')
  })

  it('that was taken back is in the composer, though nobody said that it was', async () => {
    const session = running()
    fixture.add(session)
    fixture.emit(session, queued('q', text))
    await visit(session)
    const queue = page.getByRole('region', { name: 'Queued messages' })
    await queue.getByText(text).waitFor()
    fixture.down = true
    await button('Take this message back').click()
    await page.getByText('The message was not taken back').waitFor()
    expect(await message().inputValue()).toBe('')
    fixture.down = false
    fixture.emit(session, { type: 'message.withdrawn', turnId: turnId('q') })
    await page.getByText('The message was not taken back').waitFor({ state: 'detached' })
    await expect.poll(() => message().inputValue()).toBe(text)
    forgive('ERR_')
  })
})

describe('a press of a button', () => {
  it('is not said to have failed once the session shows what it did', async () => {
    const session = running()
    fixture.add(session)
    await visit(session)
    await timeline().getByText('2 files read').waitFor()
    fixture.down = true
    await button(/^Interrupt/).click()
    await page.keyboard.press('Enter')
    await page.getByText('The turn was not interrupted').waitFor()
    await page.getByLabel('Mode', { exact: true }).selectOption('plan')
    await page.getByText('The change was not taken').waitFor()
    fixture.down = false
    fixture.emit(session, { type: 'turn.interrupted', turnId: turnId('a') })
    await page.getByText('The turn was not interrupted').waitFor({ state: 'detached' })
    expect(await page.getByText('The change was not taken').count()).toBe(1)
    fixture.emit(session, { type: 'mode.changed', mode: 'plan' })
    await page.getByText('The change was not taken').waitFor({ state: 'detached' })
    forgive('ERR_')
  })
})

it('takes a message back once, by two presses as well', async () => {
  const session = running()
  fixture.add(session)
  fixture.emit(session, queued('q', text))
  await visit(session)
  let asked = 0
  await page.route('**/messages/*', (route) => {
    asked += 1
    return route.fallback()
  })
  await button('Take this message back').dblclick()
  await expect.poll(() => message().inputValue()).toBe(text)
  expect(asked).toBe(1)
})

describe('a new task', () => {
  it.each([
    ['', false],
    [', also when the page was loaded anew', true],
  ])(
    'of which only the answer was lost is shown once Errand says that it has it%s',
    async (_, isAnew) => {
      await page.goto(fixture.url)
      await page
        .getByPlaceholder('https://github.com/you/project')
        .fill('https://git.example.com/a')
      const box = page.getByLabel('Task', { exact: true })
      await box.fill(text)
      fixture.down = true
      const asked = page.waitForRequest(
        (request) => request.method() === 'POST' && request.url().endsWith('/sessions'),
      )
      await button('Start task').click()
      const { turnId: named } = (await asked).postDataJSON()
      await page.getByText('The task was not started').waitFor()
      if (isAnew) await page.reload()
      const session = createSession({ letter: 'a', title: text })
      fixture.add(session)
      fixture.firstTurns[named] = session
      fixture.down = false
      await page.waitForURL(`**/sessions/${session.id}`)
      await page.getByRole('link', { name: 'New task' }).first().click()
      await expect.poll(() => box.inputValue()).toBe('')
      expect(fixture.requests).toEqual([])
      forgive('ERR_')
    },
  )
})
