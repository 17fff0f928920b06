// A page of its own for every test of a file, on an API of fixture sessions, watched for complaints and for requests to anywhere
// else. To be called once, at the top of the file.
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'
import { CHROMIUM, DESK, FLAGS, PHONE, takePicture } from './chromium.ts'
import { type Fixture, startFixture } from './fixture-api.ts'
import { DIFF } from './fixture-diff.ts'
import type { FixtureSession } from './fixture-sessions.ts'

export interface StageOptions {
  phone?: boolean
  dark?: boolean
}

export interface Stage {
  readonly fixture: Fixture
  /** The one that is open; at a desk, in light colours, unless opened otherwise. */
  readonly page: Page
  /** Another one in its place. */
  open(options?: StageOptions): Promise<Page>
  visit(session: FixtureSession, rest?: string): Promise<unknown>
  button(name: string | RegExp): ReturnType<Page['getByRole']>
  timeline(): ReturnType<Page['locator']>
  picture(name: string): Promise<void>
  /** The browser's own complaints with these words are the point of the test. */
  forgive(words: string): void
  /** What the API was asked last. */
  sent(): Fixture['requests'][number] | undefined
  /** The name of what has the focus. */
  focused(): Promise<string>
  /** Pixels that the page is wider than its window. */
  overflow(): Promise<number>
}

export function createStage(): Stage {
  let browser: Browser
  let fixture: Fixture
  let context: BrowserContext
  let page: Page
  /** Console errors, uncaught errors, and violations of the content security policy. */
  let complaints: string[] = []
  /** Requests to anywhere but the fixture. */
  let foreign: string[] = []
  const open = async (options: StageOptions = {}) => {
    await context?.close()
    context = await newContext(browser, options)
    page = await context.newPage()
    page.setDefaultTimeout(20_000)
    complaints = []
    foreign = []
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
    page.on('pageerror', (error) => complaints.push(error.message))
    page.on('request', (request) => {
      const url = request.url()
      if (!url.startsWith(fixture.url) && !url.startsWith('blob:')) foreign.push(url)
    })
    return page
  }
  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS })
    fixture = await startFixture()
  })
  afterAll(async () => {
    await browser?.close()
    await fixture?.close()
  })
  beforeEach(async () => {
    fixture.clear()
    fixture.diff = DIFF
    await open()
  })
  afterEach(async () => {
    await context.close()
    expect(complaints).toEqual([])
    expect(foreign).toEqual([])
  })
  return {
    get fixture() {
      return fixture
    },
    get page() {
      return page
    },
    open,
    visit: (session, rest = '') => page.goto(`${fixture.url}/sessions/${session.id}${rest}`),
    button: (name) => page.getByRole('button', { name }),
    timeline: () => page.locator('[data-timeline]'),
    picture: (name) => takePicture(page, name),
    forgive: (words) => {
      complaints = complaints.filter((text) => !text.includes(words))
    },
    sent: () => fixture.requests.at(-1),
    focused: () => page.evaluate<string>(`document.activeElement.ariaLabel ?? ''`),
    overflow: () => page.evaluate<number>('document.documentElement.scrollWidth - innerWidth'),
  }
}

async function newContext(browser: Browser, { phone, dark }: StageOptions) {
  const context = await browser.newContext({
    viewport: phone ? PHONE : DESK,
    colorScheme: dark ? 'dark' : 'light',
    ...(phone ? { hasTouch: true, isMobile: true } : {}),
  })
  await context.addInitScript(
    `addEventListener('securitypolicyviolation', (e) => console.error('policy', e.violatedDirective, e.blockedURI))`,
  )
  return context
}
