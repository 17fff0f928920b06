// Many tabs of one browser, all in sight: each on a session of its own with the network beside it.
import type { Page } from 'playwright-core'
import { expect, it } from 'vitest'
import { createSession, prepared, queued } from './fixture-sessions.ts'
import { createStage } from './stage.ts'

const stage = createStage()
const LETTERS = [...'abcdefghi']

it('loads, follows and sends in nine tabs at once', async () => {
  const { fixture } = stage
  const sessions = LETTERS.map((letter) =>
    createSession({ letter, title: `Task ${letter}`, facts: prepared }),
  )
  fixture.add(...sessions)
  const context = stage.page.context()
  const tabs: Page[] = []
  for (const { id } of sessions) {
    const tab = await context.newPage()
    tabs.push(tab)
    await tab.goto(`${fixture.url}/sessions/${id}?panel=network`)
    const panel = tab.getByRole('region', { name: 'Network', exact: true })
    await panel.getByText('telemetry.example.com').first().waitFor()
  }
  for (const [index, tab] of tabs.entries()) {
    const text = `Go on with ${LETTERS[index]}`
    await tab.locator('[data-prompt]').fill(text)
    await tab.locator('[data-prompt]').press('Control+Enter')
    await tab.getByText(text).first().waitFor()
  }
  const sent = fixture.requests.filter(({ path }) => path.endsWith('/messages'))
  expect(sent.map(({ path }) => path)).toEqual(sessions.map(({ id }) => `/sessions/${id}/messages`))
})

it('shows on a tab that comes back after hours what it showed, and goes on from there', async () => {
  const { fixture, page, visit, timeline } = stage
  const session = createSession({ letter: 'a', title: 'Task a', facts: prepared })
  fixture.add(session)
  await page.clock.install()
  await visit(session)
  await timeline().getByText('Task a').waitFor()
  await timeline().evaluate((node) => node.setAttribute('data-kept', ''))
  await page.evaluate(look(true))
  // The stream is let go of, and then all that nobody looks at.
  await page.clock.fastForward('01:00')
  await page.clock.fastForward('05:00:00')
  fixture.emit(session, queued('q', 'Meanwhile'))
  await page.evaluate(look(false))
  const waiting = page.getByRole('region', { name: 'Queued messages' })
  await waiting.or(timeline()).getByText('Meanwhile').first().waitFor()
  expect(await page.locator('[data-timeline][data-kept]').count()).toBe(1)
  expect(await timeline().getByText('Task a').count()).toBe(1)
})

/** As if the tab went out of sight, or came back. */
function look(hidden: boolean): string {
  return `Object.defineProperty(document, 'hidden', { configurable: true, get: () => ${hidden} });
    document.dispatchEvent(new Event('visibilitychange'))`
}
