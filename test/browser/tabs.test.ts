// Many tabs of one browser, all in sight: each on a session of its own with the network beside it.
import type { Page } from 'playwright-core'
import { expect, it } from 'vitest'
import { createSession, prepared } from './fixture-sessions.ts'
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
