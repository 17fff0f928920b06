// The built page in a real browser against an API of fixture sessions: its first visit, its list, and how it is used by keyboard, on a
// phone, with large text and in the dark. The server itself is tested elsewhere.
import { chromium, type Page } from 'playwright-core'
import { beforeEach, describe, expect, it } from 'vitest'
import { CHROMIUM, FLAGS, PHONE } from './chromium.ts'
import type { Fixture } from './fixture-api.ts'
import {
  asking,
  createSession,
  type FixtureSession,
  failedPhase,
  prepared,
  preparing,
  ready,
  running,
  text,
  turnId,
} from './fixture-sessions.ts'
import { createStage } from './stage.ts'

const stage = createStage()
const { button, timeline, sent, overflow, forgive } = stage

let fixture: Fixture
let page: Page
beforeEach(() => {
  ;({ fixture, page } = stage)
})

describe('first visit', () => {
  it('shows the composer, one sentence and three examples, and starts a task', async () => {
    await page.goto(fixture.url)
    await page.getByRole('heading', { name: 'What should be done?' }).waitFor()
    await page.getByRole('button', { name: /Make the failing test pass/ }).click()
    expect(await page.getByLabel('Task', { exact: true }).inputValue()).toContain('Run the tests')
    await page.keyboard.type('https://git.example.com/shop/cart.git')
    fixture.add(running())
    await page.getByLabel('Task', { exact: true }).press('Control+Enter')
    await page.waitForURL(/\/sessions\/s_a/)
    expect(sent()).toMatchObject({
      path: '/sessions',
      body: {
        source: { kind: 'remote', url: 'https://git.example.com/shop/cart.git' },
        mode: 'work',
        model: null,
      },
    })
  })

  it('is there also where the browser keeps nothing for it', async () => {
    await page.addInitScript(`for (const name of ['localStorage', 'sessionStorage'])
      Object.defineProperty(window, name, { get() { throw new DOMException('no', 'SecurityError') } })`)
    await page.goto(fixture.url)
    await page.getByRole('heading', { name: 'What should be done?' }).waitFor()
    await page.keyboard.press('Control+k')
    await page.keyboard.type('Theme: dark')
    await page.keyboard.press('Enter')
    await expect.poll(() => page.evaluate('document.documentElement.dataset.theme')).toBe('dark')
  })

  it('says what is missing instead of sending', async () => {
    await page.goto(fixture.url)
    await button('Start task').click()
    await page.getByText('Say which repository to work on.').waitFor()
    expect(await page.evaluate(`document.activeElement.matches('[data-repository]')`)).toBe(true)
    expect(fixture.requests).toEqual([])
  })

  it('keeps a task that is being written while somebody looks elsewhere, until it is sent', async () => {
    fixture.add(ready())
    await page.goto(fixture.url)
    const address = page.locator('[data-repository]')
    const branch = page.getByLabel('Start from')
    await expect.poll(() => address.inputValue()).toContain('cart')
    await address.fill('https://git.example.com/other/project.git')
    await branch.fill('next')
    await page.getByLabel('Mode', { exact: true }).selectOption('ask')
    await page.getByRole('link', { name: /Give the discount/ }).click()
    await page.getByLabel('Message').waitFor()
    await page.goBack()
    await expect.poll(() => address.inputValue()).toContain('other/project')
    await page.reload()
    await expect.poll(() => branch.inputValue()).toBe('next')
    await page.getByLabel('Task', { exact: true }).fill('Go on')
    await button('Start task').click()
    await page.waitForURL(/\/sessions\/s_/)
    expect(sent()?.body).toMatchObject({
      source: { url: 'https://git.example.com/other/project.git' },
      baseBranch: 'next',
      mode: 'ask',
    })
    await page.goto(fixture.url)
    await expect.poll(() => address.inputValue()).toContain('cart')
    expect(await branch.inputValue()).toBe('')
  })

  it('fills the composer from the address, and starts nothing by itself', async () => {
    const repositories = 'https://git.example.com/shop/cart,https://git.example.com/shop/lib'
    const search = new URLSearchParams({ q: 'Add a currency', repositories, environment: 'gone' })
    await page.goto(`${fixture.url}/?${search}`)
    await page.getByText('There is no environment gone to choose.').waitFor()
    expect(await page.getByLabel('Task', { exact: true }).inputValue()).toBe('Add a currency')
    const addresses = page.getByPlaceholder('https://github.com/you/project')
    expect(await addresses.first().inputValue()).toBe('https://git.example.com/shop/cart')
    expect(new URL(page.url()).search).toBe('')
    expect(fixture.requests).toEqual([])
    fixture.add(running())
    await button('Start task').click()
    await page.waitForURL(/\/sessions\/s_a/)
    expect(sent()?.body).toMatchObject({
      prompt: 'Add a currency',
      source: { url: 'https://git.example.com/shop/cart' },
      additional: [{ source: { url: 'https://git.example.com/shop/lib' }, access: 'write' }],
    })
  })

  it('tells somebody who is not signed in where the link comes from', async () => {
    fixture.signedIn = false
    await page.goto(`${fixture.url}/?login=invalid`)
    await page.getByText('errand login').waitFor()
    await page.getByRole('alert').waitFor()
    fixture.signedIn = true
    await button('I have opened it').click()
    await page.getByRole('heading', { name: 'What should be done?' }).waitFor()
    // The refusals that the browser itself reports are the point of this test.
    forgive('401')
  })
})

/** The list has the session and follows what becomes of it. */
async function seeChangeOf(session: ReturnType<typeof running>): Promise<void> {
  const list = page.getByRole('navigation', { name: 'Sessions' })
  await list.locator(`a[href$="${session.id}"]`).waitFor()
  await expect.poll(() => fixture.listens()).toBe(true)
  fixture.emit(session, { type: 'session.renamed', title: 'Another name' })
  await list.getByText('Another name').waitFor()
}

describe('list', () => {
  it('says of a session that cannot be read what to do, and removes it', async () => {
    const session = ready()
    fixture.add(session)
    fixture.unreadable = session.id
    await stage.visit(session)
    await page.getByText(`errand rm ${session.id}`).waitFor()
    await page.getByRole('alert').getByRole('button', { name: 'Remove' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click()
    await page.getByRole('heading', { name: 'What should be done?' }).waitFor()
    expect(sent()).toMatchObject({ method: 'DELETE', path: `/sessions/${session.id}` })
    forgive('501')
  })

  it('is live also when the page could not read at first what is installed', async () => {
    const session = running()
    fixture.add(session)
    await page.route('**/api/v1/installation', (route) => route.abort())
    await page.goto(fixture.url)
    await seeChangeOf(session)
    forgive('ERR_')
  })

  it('is live again after somebody has signed in anew', async () => {
    const session = running()
    fixture.add(session)
    await page.goto(fixture.url)
    await expect.poll(() => fixture.listens()).toBe(true)
    fixture.signedIn = false
    fixture.cutStreams()
    await page.getByText('errand login').waitFor()
    fixture.signedIn = true
    await button('I have opened it').click()
    await seeChangeOf(session)
    forgive('401')
    forgive('WebSocket')
    forgive('ERR_')
  })

  it('shows when each session changed, also in large letters', async () => {
    fixture.add(running(), ready(), asking())
    await page.goto(fixture.url)
    await page.evaluate(`document.documentElement.style.fontSize = '200%'`)
    const rows = page.locator('[data-session-row]')
    await expect.poll(() => rows.count()).toBe(3)
    for (const row of await rows.all()) {
      const [time, around] = [await row.locator('time').boundingBox(), await row.boundingBox()]
      expect(time && time.x + time.width).toBeLessThanOrEqual(
        (around?.x ?? 0) + (around?.width ?? 0),
      )
      expect(time?.y).toBeLessThan((around?.y ?? 0) + (around?.height ?? 0))
    }
  })

  it('groups sessions by what they want and finds them', async () => {
    const failed = createSession({ letter: 'd', title: 'Prices', facts: failedPhase })
    fixture.add(running(), ready(), asking(), failed)
    await page.goto(fixture.url)
    const list = page.getByRole('navigation', { name: 'Sessions' })
    await list.getByRole('heading', { name: 'Needs you 2' }).waitFor()
    await list.getByRole('heading', { name: 'Working 1' }).waitFor()
    await list.getByRole('heading', { name: 'Ready 1' }).waitFor()
    expect(await page.title()).toContain('needs you')
    await page.keyboard.press('/')
    await page.keyboard.type('give')
    await list.getByText('Add a currency').waitFor({ state: 'detached' })
    expect(await list.getByText('Give the discount').count()).toBe(1)
  })

  it('has all of many sessions, also those that one answer has no room for', async () => {
    const letters = [...'abcdefghijklmnopqrstuvwxyz']
    const many = Array.from({ length: 230 }, (_, at) => {
      const letter = `${letters[Math.floor(at / 26)]}${letters[at % 26]}`
      return createSession({ letter, title: `Task ${at}`, ageMs: (at + 1) * 60_000 })
    })
    fixture.add(...many)
    await page.goto(fixture.url)
    const list = page.getByRole('navigation', { name: 'Sessions' })
    await list.getByRole('heading', { name: 'Working 230' }).waitFor()
    await list.getByRole('searchbox').fill('task 229')
    await list.getByRole('link', { name: /Task 229/ }).waitFor()
    // The oldest has not fallen out when the stream begins anew.
    fixture.cutStreams()
    fixture.emit(many[0] as FixtureSession, text('a', 'Still here'))
    await list.getByRole('link', { name: /Task 229/ }).click()
    await page.getByRole('heading', { name: 'Task 229' }).waitFor()
  })

  it('follows what happens elsewhere', async () => {
    const session = running()
    fixture.add(session)
    await page.goto(fixture.url)
    await page.getByText('Working').waitFor()
    fixture.emit(session, {
      type: 'turn.completed',
      turnId: turnId('a'),
      exitCode: null,
      durationMs: 1,
    })
    await page.getByRole('heading', { name: 'Idle 1' }).waitFor()
  })
})

describe('keyboard', () => {
  it('moves, opens the palette, shows the keys, and goes to a new task', async () => {
    fixture.add(running('a', 'First'), ready('b', 'Second'))
    await page.goto(fixture.url)
    await page.getByText('Second').waitFor()
    await page.keyboard.press('j')
    await page.waitForURL(/s_aaaa/)
    await page.keyboard.press('j')
    await page.waitForURL(/s_bbbb/)
    await page.keyboard.press('k')
    await page.waitForURL(/s_aaaa/)
    await page.keyboard.press('?')
    await page.getByRole('dialog', { name: 'Keys' }).waitFor()
    await page.keyboard.press('Escape')
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await page.keyboard.press('Control+k')
    await page.getByRole('combobox', { name: 'Find a command or a session' }).waitFor()
    await page.keyboard.type('second')
    await page.keyboard.press('Enter')
    await page.waitForURL(/s_bbbb/)
    await page.getByRole('dialog').waitFor({ state: 'detached' })
    await page.keyboard.press('n')
    await page.getByRole('heading', { name: 'What should be done?' }).waitFor()
    await page.keyboard.type('dn?')
    expect(await page.getByLabel('Task', { exact: true }).inputValue()).toBe('dn?')
  })
})

describe('phone', () => {
  it('shows one zone at a time, without a sideways scroll, and takes an answer', async () => {
    page = await stage.open({ phone: true })
    fixture.add(asking(), ready(), createSession({ letter: 'f', title: 'Round', facts: preparing }))
    await page.goto(`${fixture.url}/sessions`)
    await page.getByRole('link', { name: /Add a currency/ }).tap()
    await page.locator('[data-question]').waitFor()
    expect(await page.getByRole('navigation', { name: 'Sessions' }).isVisible()).toBe(false)
    expect(await overflow()).toBe(0)
    const small = await page.evaluate<string[]>(
      `[...document.querySelectorAll('footer button, footer select, nav a, header button')].filter((e) => e.offsetParent && e.getBoundingClientRect().height < 40).map((e) => e.outerHTML)`,
    )
    expect(small).toEqual([])
    await button(/Symbol/).tap()
    await page.locator('[data-question]').waitFor({ state: 'detached' })
    await page.getByRole('link', { name: 'Sessions' }).tap()
    await page.getByRole('link', { name: /Give the discount/ }).tap()
    await timeline().getByText('Done in 41 s').waitFor()
    await page.getByRole('link', { name: /^Changes/ }).tap()
    await page.locator('diffs-container').first().getByText('three included').waitFor()
    expect(await timeline().isVisible()).toBe(false)
    expect(await overflow()).toBe(0)
    await page.goBack()
    await timeline().getByText('Done in 41 s').waitFor()
    await page.goto(fixture.url)
    await button('Start task').waitFor()
    expect(await overflow()).toBe(0)
  })
})

describe('large text', () => {
  it('has room at twice the size, also on a phone', async () => {
    const args = [...FLAGS, '--blink-settings=defaultFontSize=32']
    const large = await chromium.launch({ executablePath: CHROMIUM, args })
    try {
      const view = await large.newPage({ viewport: PHONE, hasTouch: true, isMobile: true })
      const archived = createSession({
        ...{ letter: 'r', title: 'Old', facts: [...prepared, { type: 'session.archived' }] },
      })
      fixture.add(
        ...[asking('plan'), archived],
        createSession({ letter: 'd', title: 'Prices', facts: failedPhase }),
      )
      for (const letter of ['c', 'd', 'r']) {
        await view.goto(`${fixture.url}/sessions/s_${letter.repeat(20)}`)
        await view.locator('footer').waitFor()
        expect(await view.evaluate(`getComputedStyle(document.body).fontSize`)).toBe('28px')
        await expect.poll(() => view.evaluate(BEYOND_THE_EDGE)).toEqual([])
      }
    } finally {
      await large.close()
    }
  })
})

describe('colours', () => {
  it.each([false, true])('have enough contrast (dark: %s)', async (dark) => {
    page = await stage.open({ dark })
    fixture.add(
      ready(),
      asking(),
      createSession({ letter: 'd', title: 'Prices', facts: failedPhase }),
    )
    for (const letter of ['b', 'c', 'd']) {
      await page.goto(`${fixture.url}/sessions/s_${letter.repeat(20)}`)
      await timeline().locator('[data-row]').first().waitFor()
      await page.evaluate('Promise.all(document.getAnimations().map((a) => a.finished))')
      expect(await page.evaluate(POOR_CONTRAST)).toEqual([])
    }
  })
})

/** Buttons that stand out of the window, and cannot be scrolled to. */
const BEYOND_THE_EDGE = `[...document.querySelectorAll('button, a')]
  .filter((e) => { e.scrollIntoView({ block: 'nearest' }); const r = e.getBoundingClientRect(); return r.width > 0 && (r.right > innerWidth + 1 || r.bottom > innerHeight + 1) })
  .map((e) => e.textContent || e.ariaLabel)`

/** Texts whose colour stands out from what is behind them by less than 4.5 to 1. */
const POOR_CONTRAST = `(() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true })
  const rgb = (color) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1)
    return [...canvas.getImageData(0, 0, 1, 1).data]
  }
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    return 0.2126 * x + 0.7152 * y + 0.0722 * z
  }
  const over = (top, under) => top.slice(0, 3).map((v, i) => v * top[3] / 255 + under[i] * (1 - top[3] / 255))
  const behind = (element) => {
    const layers = []
    for (let e = element; e; e = e.parentElement) layers.push(rgb(getComputedStyle(e).backgroundColor))
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255])
  }
  const poor = []
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())
    if (!own || !element.checkVisibility() || element.closest('[disabled], .sr-only, noscript')) continue
    const [a, b] = [luminance(over(rgb(getComputedStyle(element).color), behind(element))), luminance(behind(element))]
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    if (ratio < 4.5) poor.push(ratio.toFixed(2) + ' ' + element.textContent.slice(0, 40))
  }
  return poor
})()`
