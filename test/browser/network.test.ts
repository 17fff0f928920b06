// What a session reaches, on the page: blocked hosts and how they are allowed, what was reached, and setting what it may
// reach. At a desk and on a phone. Set ERRAND_PICTURES to a folder to look at them.
import type { Page } from 'playwright-core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Fixture } from './fixture-api.ts'
import { createSession, prepared } from './fixture-sessions.ts'
import { createStage } from './stage.ts'

const stage = createStage()
const { picture } = stage

let fixture: Fixture
let page: Page
beforeEach(() => {
  fixture = stage.fixture
})
afterEach(async () => {
  expect(await stage.overflow()).toBe(0)
})

async function open(path: string, isPhone: boolean) {
  page = await stage.open({ phone: isPhone })
  await page.goto(`${fixture.url}${path}`)
}
const allow = async (host: string, where: string) => {
  await page
    .getByRole('button', { name: `Allow ${host}`, exact: true })
    .first()
    .click()
  await page.getByRole('menuitem', { name: where, exact: true }).click()
}
const sent = (method: string) =>
  fixture.requests.filter((one) => one.method === method).map(({ body }) => body)

function refusedSession() {
  const at = { host: 'api.example.com', port: 8443 }
  const session = createSession({
    ...{ letter: 'n', title: 'Fetch the figures' },
    facts: [...prepared, ['seen', { type: 'egress.denied', ...at, reason: 'host_not_allowed' }]],
  })
  fixture.add(session)
  return session
}

it.each([false, true])(
  'shows blocked hosts first, and allows them by a press (phone: %s)',
  async (isPhone) => {
    const { id } = refusedSession()
    const size = isPhone ? 'phone' : 'desk'
    await open(`/sessions/${id}`, isPhone)
    await page.getByRole('button', { name: 'More for this session' }).click()
    await page.getByRole('menuitem', { name: 'Network', exact: true }).click()
    const panel = page.getByRole('region', { name: 'Network', exact: true })
    await panel.getByText('May reach the trusted hosts').waitFor()
    // The bar of a phone marks none of its zones for it; the key of the changes shows them and does not close this.
    const zones = page.getByRole('navigation', { name: 'Zones', includeHidden: !isPhone })
    const marked = zones.locator('[aria-current]')
    await zones.getByRole('link', { name: /^Changes/, includeHidden: !isPhone }).waitFor({
      state: 'attached',
    })
    expect(await marked.allTextContents()).toEqual([])
    await page.keyboard.press('d')
    await page.getByRole('region', { name: 'Changes', exact: true }).waitFor()
    await expect.poll(() => marked.allTextContents()).toEqual(['Changes'])
    await page.goBack()
    await panel.getByText('the network level does not allow it · 14 times').waitFor()
    await panel.getByText('Refused in every session: *.evil.example').waitFor()
    await panel.getByText('1 open').waitFor()
    await picture(`network-${size}`)
    const registries = panel.getByText('Package registries of its image (1')
    // A mark of what opens.
    await registries.locator('xpath=ancestor-or-self::summary').locator('svg').waitFor()
    await registries.click()
    await panel.getByText('named by /etc/npmrc').waitFor()
    // Neither a private address nor what the owner refuses can be allowed here.
    await panel.getByText('169.254.169.254').waitFor()
    expect(await panel.getByRole('button', { name: /^Allow/ }).count()).toBe(2)
    await allow('telemetry.example.com', 'For this session')
    await panel.getByText('was blocked, is allowed now').waitFor()
    expect(sent('POST')).toEqual([{ scope: 'session', host: 'telemetry.example.com' }])
    await panel.getByRole('button', { name: 'Change it' }).click()
    await panel.getByLabel('Network', { exact: true }).selectOption('none')
    await picture(`network-form-${size}`)
    await panel.getByText('they are doors of Errand.').waitFor()
    await panel.getByRole('button', { name: 'Set to none' }).click()
    await expect
      .poll(() => sent('PATCH'))
      .toMatchObject([{ network: { level: 'none', domains: ['telemetry.example.com'] } }])
  },
)

it('allows a blocked host from the line of the timeline, for the environment too', async () => {
  const { id } = refusedSession()
  await open(`/sessions/${id}`, false)
  await page.getByText('api.example.com:8443').waitFor()
  await picture('network-line')
  await allow('api.example.com:8443', 'For this environment too')
  await page.getByText('was blocked and is allowed now').waitFor()
  expect(sent('POST')).toEqual([{ scope: 'environment', host: 'api.example.com:8443' }])
})
