// The built page in a real browser against an API of fixture sessions: what it shows, what it sends, and that nothing
// that a sandbox writes becomes more than text. The server itself is tested elsewhere.
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { CHROMIUM, DESK, FLAGS, PHONE } from './chromium.ts'
import { type Fixture, startFixture } from './fixture-api.ts'
import { DIFF } from './fixture-diff.ts'
import {
  createSession,
  delivered,
  type Fact,
  type FixtureSession,
  failedPhase,
  prepared,
  preparing,
  queued,
  text,
  tool,
  turnId,
  work,
} from './fixture-sessions.ts'

let browser: Browser
let fixture: Fixture
let context: BrowserContext
let page: Page
/** Console errors, uncaught errors, and violations of the content security policy. */
let complaints: string[]
/** Requests to anywhere but the fixture. */
let foreign: string[]

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

async function open(options: { phone?: boolean; dark?: boolean } = {}) {
  await context?.close()
  context = await browser.newContext({
    viewport: options.phone ? PHONE : DESK,
    colorScheme: options.dark ? 'dark' : 'light',
    ...(options.phone ? { hasTouch: true, isMobile: true } : {}),
  })
  await context.addInitScript(
    `addEventListener('securitypolicyviolation', (e) => console.error('policy', e.violatedDirective, e.blockedURI))`,
  )
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
}

const visit = (session: FixtureSession, rest = '') =>
  page.goto(`${fixture.url}/sessions/${session.id}${rest}`)
const button = (name: string | RegExp) => page.getByRole('button', { name })
const timeline = () => page.locator('[data-timeline]')
const running = (letter = 'a', title = 'Make the failing test pass') =>
  createSession({ letter, title, facts: [...prepared, ...work(letter)] })
const ready = (letter = 'b', title = 'Give the discount') =>
  createSession({ letter, title, facts: [...prepared, ...work(letter), ...delivered(letter)] })

function asking(kind: 'question' | 'permission' | 'plan' = 'question', multiSelect = false) {
  const items = [
    {
      question: 'Which format?',
      header: '',
      multiSelect,
      options: [
        { label: 'Symbol', description: 'before the amount' },
        { label: 'Code', description: 'after it' },
      ],
    },
  ]
  const question = {
    ...{
      id: 'q1',
      turnId: turnId('c'),
      kind,
      title: 'Run a command',
      detail: 'Bash: rm -rf build',
    },
    ...{ askedAt: new Date().toISOString(), items: kind === 'question' ? items : [] },
  }
  return createSession({
    letter: 'c',
    title: 'Add a currency',
    facts: [...prepared, { type: 'question.asked', question }],
  })
}

const sent = () => fixture.requests.at(-1)
const focused = () => page.evaluate<string>(`document.activeElement.ariaLabel ?? ''`)
const scrollGap = () =>
  page.evaluate<number>(
    `(() => { const t = document.querySelector('[data-timeline]'); return t.scrollHeight - t.scrollTop - t.clientHeight })()`,
  )
const overflow = () => page.evaluate<number>('document.documentElement.scrollWidth - innerWidth')

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

  it('says what is missing instead of sending', async () => {
    await page.goto(fixture.url)
    await button('Start task').click()
    await page.getByText('Say which repository to work on.').waitFor()
    expect(await page.evaluate(`document.activeElement.matches('[data-repository]')`)).toBe(true)
    expect(fixture.requests).toEqual([])
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
    complaints = complaints.filter((text) => !text.includes('401'))
  })
})

describe('list', () => {
  it('groups sessions by what they want and finds them', async () => {
    fixture.add(running(), ready(), asking())
    await page.goto(fixture.url)
    const list = page.getByRole('navigation', { name: 'Sessions' })
    await list.getByRole('heading', { name: 'Needs you 1' }).waitFor()
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
    complaints = complaints.filter((said) => !said.includes('ERR_INCOMPLETE_CHUNKED_ENCODING'))
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

describe('timeline', () => {
  it('shows phases, text, tool calls, runs, blocked hosts, pushes and the end', async () => {
    const session = ready()
    fixture.add(session)
    await visit(session)
    await timeline().getByText('Sandbox prepared').waitFor()
    const log = timeline()
    await log.getByText('2 files read, 1 search').waitFor()
    await log.getByText('telemetry.example.com').waitFor()
    await log.getByText('Done in 41 s').waitFor()
    expect(await log.getByText('From https://git.example.com').count()).toBe(0)
    await log.getByText('Sandbox prepared').click()
    await log.getByText('Fetch the repository').click()
    await log.getByText('From https://git.example.com').waitFor()
    await log.getByRole('button', { name: /^Bash npm test .*failed/ }).click()
    await log.getByText('three pieces get the discount (1.2 ms)').waitFor()
    await log.getByRole('button', { name: /^Edit src\/cart.js \+2 −1/ }).click()
    await log.getByText('+ if (quantity >= DISCOUNT_FROM)').waitFor()
    await page.getByText(/38 k tokens in 2 requests, \$0.05/).waitFor()
    await page.getByText('oci: own user range').waitFor()
  })

  it('shows live text, and replaces it by the stored message', async () => {
    const session = running()
    fixture.add(session)
    await visit(session)
    await timeline().getByText('2 files read').waitFor()
    fixture.delta(session, 'a', 'Now I run ')
    fixture.delta(session, 'a', 'the tests')
    await page.locator('[data-live]', { hasText: 'Now I run the tests' }).waitFor()
    fixture.emit(session, text('a', 'Now I run the tests again.'))
    await timeline().getByText('Now I run the tests again.').waitFor()
    expect(await page.locator('[data-live]').count()).toBe(0)
  })

  it('goes on after the stream was cut, without doubling anything', async () => {
    const session = running()
    fixture.add(session)
    await visit(session)
    await timeline().getByText('2 files read').waitFor()
    fixture.cutStreams()
    fixture.emit(session, text('a', 'Said while nobody listened.'))
    await timeline().getByText('Said while nobody listened.').waitFor()
    expect(await timeline().getByText('I will run the tests first').count()).toBe(1)
    complaints = complaints.filter((text) => !text.includes('ERR_INCOMPLETE_CHUNKED_ENCODING'))
  })

  it('shows in the head which phase runs, until the sandbox is ready', async () => {
    const session = createSession({ letter: 'f', title: 'Round', facts: preparing })
    fixture.add(session)
    await visit(session)
    const strip = page.locator('header').getByRole('list', { name: 'Preparation' })
    await strip.getByText('Fetch the repository').waitFor()
    expect(await strip.getByRole('listitem').count()).toBe(5)
    fixture.emit(
      session,
      { type: 'phase.completed', phase: 'fetch', generation: 1, durationMs: 5 },
      { type: 'sandbox.ready', generation: 1 },
    )
    await strip.waitFor({ state: 'detached' })
    await timeline().getByText('Sandbox prepared').waitFor()
  })

  it('stops a preparation where it stands, and says of each phase that it stopped', async () => {
    const session = createSession({ letter: 'f', title: 'Round', facts: preparing })
    fixture.add(session)
    await visit(session)
    const preparation = timeline().getByRole('region', { name: 'Preparation' })
    await preparation.getByText('Fetch the repository').waitFor()
    await preparation.getByRole('button', { name: 'Stop' }).click()
    await expect.poll(() => sent()?.path).toBe(`/sessions/${session.id}/stop`)
    fixture.emit(
      session,
      { type: 'turn.interrupted', turnId: turnId('f') },
      { type: 'sandbox.stopped', generation: 1, why: 'user' },
    )
    await preparation.getByText(/^stopped after /).waitFor()
    expect(await preparation.getByRole('button').allInnerTexts()).toEqual([
      expect.stringContaining('Fetch the repository'),
    ])
    // What has failed is tried again from there; once it was stopped there is nothing to try.
    const failed = createSession({ letter: 'd', title: 'Prices', facts: failedPhase })
    fixture.add(failed)
    await visit(failed)
    await button('Retry').waitFor()
    fixture.emit(failed, { type: 'turn.interrupted', turnId: turnId('d') })
    await button('Retry').waitFor({ state: 'detached' })
    await page.getByText('Fetch the repository: failed').waitFor()
  })

  it('shows why a phase failed, with its log, and retries', async () => {
    const session = createSession({ letter: 'd', title: 'Prices', facts: failedPhase })
    fixture.add(session)
    await visit(session)
    await page.getByText('Fetch the repository: failed').waitFor()
    await page.getByText('could not read Username').waitFor()
    const mend = page.getByRole('link', { name: 'Add a credential' })
    expect(await mend.getAttribute('href')).toBe('/environments#credentials')
    await button('Retry').press('Enter')
    await page.getByText('preparing').first().waitFor()
    expect(sent()?.path).toBe(`/sessions/${session.id}/retry`)
    await button('Retry').waitFor({ state: 'detached' })
    await expect.poll(focused).toBe('Timeline')
    // Of one that fails while it is looked at, the log is opened as well.
    fixture.emit(session, { type: 'phase.started', phase: 'fetch', generation: 2 })
    const second = timeline().getByRole('region', { name: 'Preparation' }).nth(1)
    await second.getByText('Fetch the repository').waitFor()
    const at = { phase: 'fetch', generation: 2 } as const
    fixture.emit(session, { type: 'phase.logged', ...at, lines: ['Said at the very end'] })
    await second.locator('p', { hasText: 'Said at the very end' }).waitFor()
    const failure = { durationMs: 9, reason: 'upstream_timeout', message: 'Too long.' }
    fixture.emit(session, { type: 'phase.failed', ...at, ...failure })
    await second.locator('pre', { hasText: 'Said at the very end' }).waitFor()
  })

  it('tells of commits that are not yet at their remote, and pushes them again', async () => {
    const nextAt = new Date(Date.now() + 60_000).toISOString()
    const facts: Fact[] = [
      ...prepared,
      ['seen', { type: 'push.accepted', ref: 'r', commit: 'c0ffee', outward: 'kept', message: '' }],
      [
        'seen',
        {
          ...{ type: 'push.forward-failed', outward: 'kept', reason: 'upstream_unreachable' },
          ...{ message: 'The host cannot be reached.', nextAt },
        },
      ],
    ]
    const session = createSession({ letter: 'k', title: 'Kept', facts })
    fixture.add(session)
    await visit(session)
    const bar = page.getByRole('region', { name: 'Not yet at the remote' })
    await bar.getByText('The host cannot be reached.').waitFor()
    expect(await bar.getByRole('link').count()).toBe(0)
    await bar.getByText(/Sent again in \d+ s/).waitFor()
    await bar.getByRole('button', { name: 'Push again' }).press('Enter')
    await bar.getByText('Sent again').waitFor({ state: 'detached' })
    expect(sent()?.path).toBe(`/sessions/${session.id}/push`)
    fixture.emit(session, {
      ...{ type: 'push.forward-failed', outward: 'kept', reason: 'credential_missing' },
      ...{ message: 'There is no credential for this repository.', nextAt: null },
    })
    const mend = bar.getByRole('link', { name: 'Add a credential' })
    await mend.waitFor()
    expect(await mend.getAttribute('href')).toBe('/environments#credentials')
    // Switched off for the time of its request, and then taken away: the focus stays, and goes on to the composer.
    const isAtPush = `document.activeElement.textContent === 'Push again'`
    await expect.poll(() => page.evaluate(isAtPush)).toBe(true)
    fixture.emit(session, { type: 'push.forwarded', commit: 'c0ffee' })
    await bar.waitFor({ state: 'detached' })
    await expect.poll(focused).toBe('Message')
  })

  it('leads to the credentials when large files could not be sent for want of one', async () => {
    const kind = 'lfs_credential_missing'
    const said = 'Large files (LFS) could not be sent.\ngit.example.com answered 401'
    const facts: Fact[] = [...prepared, { type: 'agent.notice', turnId: null, kind, text: said }]
    const session = createSession({ letter: 'k', title: 'Large', facts })
    fixture.add(session)
    await visit(session)
    const line = timeline().locator('[data-row="notice"]')
    await line.getByText('git.example.com answered 401', { exact: true }).waitFor()
    const mend = line.getByRole('link', { name: 'Add a credential' })
    expect(await mend.getAttribute('href')).toBe('/environments#credentials')
    fixture.emit(session, { type: 'agent.notice', turnId: null, kind: 'push', text: 'No answer.' })
    await timeline().getByText('No answer.').waitFor()
    expect(await mend.count()).toBe(1)
  })

  it('makes nothing of markup, links, images and escapes that a sandbox writes', async () => {
    const letter = 'h'
    const hostile = [
      '<script>window.pwned = 1</script><img src=x onerror="window.pwned = 2">',
      '<iframe src="https://evil.example"></iframe><style>body{display:none}</style>',
      '[click](javascript:window.pwned=3) [data](data:text/html,x) [good](https://good.example/page)',
      '![track](https://evil.example/pixel.png) ![local](/api/v1/sessions)',
      '<a href="javascript:window.pwned=4" onclick="window.pwned=5">link</a>',
      '```html\n<script>window.pwned = 6</script>\n```',
    ].join('\n\n')
    const escapes =
      '\u001b]0;owned\u0007\u001b]8;;https://evil.example\u001b\\press\u001b]8;;\u001b\\ \u001b[2J\u001b[31mred\u001b[0m \u202egnp.exe'
    const session = createSession({
      letter,
      title: '<img src=x onerror=window.pwned=7>',
      prompt: '<b>bold</b>',
      facts: [
        ...prepared,
        text(letter, hostile),
        ...tool(letter, 'Bash', { command: `echo ${escapes}` }, { output: escapes }),
        ...tool(
          letter,
          '<script>x</script>',
          { a: '<img src=x onerror=window.pwned=8>' },
          { output: hostile },
        ),
        { type: 'agent.notice', turnId: null, kind: 'x', text: hostile },
      ],
    })
    fixture.add(session)
    await visit(session)
    await timeline().getByText('<b>bold</b>').waitFor()
    const good = timeline().getByRole('link', { name: 'good' })
    await good.waitFor()
    expect(await good.getAttribute('rel')).toContain('noopener')
    for (const call of await timeline().locator('[data-row=tool] > div > button').all())
      await call.click()
    expect(
      await timeline().locator('img, script, iframe, style, [onclick], [onerror]').count(),
    ).toBe(0)
    expect(await timeline().locator('a').count()).toBe(1)
    const shown = (await timeline().textContent()) ?? ''
    expect(shown).toContain('<script>window.pwned = 1</script>')
    expect(shown).toContain('press red ⟨U+202E⟩gnp.exe')
    expect(shown).not.toContain('\u001b')
    expect(await page.evaluate('window.pwned')).toBeUndefined()
  })
})

describe('long timeline', () => {
  it('draws only what is in sight, opens at its end and leaves a reader in peace', async () => {
    const facts = Array.from({ length: 5000 }, (_, index) => [
      text('l', `Paragraph ${index} about the matter`),
      ...tool('l', 'Bash', { command: `step ${index}` }, { output: 'ok' }),
    ]).flat()
    const session = createSession({
      letter: 'l',
      title: 'Long',
      facts: [...prepared, ...facts],
      stepMs: 1,
    })
    fixture.add(session)
    await visit(session)
    await timeline().getByText('Paragraph 4999').waitFor()
    await expect.poll(scrollGap).toBeLessThan(60)
    expect(await timeline().locator('[data-row]').count()).toBeLessThan(120)
    fixture.emit(session, text('l', 'One more at the end'))
    await timeline().getByText('One more at the end').waitFor()
    await expect.poll(scrollGap).toBeLessThan(60)
    await timeline().hover()
    await page.mouse.wheel(0, -3000)
    await button('To the end').waitFor()
    const before = await page.evaluate<number>(
      `document.querySelector('[data-timeline]').scrollTop`,
    )
    fixture.emit(session, text('l', 'Unseen'), text('l', 'Unseen too'))
    fixture.delta(session, 'l', 'and live text')
    await page.locator('[data-live]').waitFor()
    const after = await page.evaluate<number>(`document.querySelector('[data-timeline]').scrollTop`)
    expect(Math.abs(after - before)).toBeLessThan(200)
    await button('To the end').click()
    await timeline().getByText('Unseen too').waitFor()
    await expect.poll(scrollGap).toBeLessThan(60)
  }, 60_000)
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
    fixture.add(asking('question', true))
    await visit(asking())
    await page.locator('[data-question]').waitFor()
    await page.keyboard.press('1')
    await page.keyboard.press('2')
    await button('Send answer').click()
    await page.locator('[data-question]').waitFor({ state: 'detached' })
    expect(sent()?.body).toMatchObject({ answers: { 'Which format?': 'Symbol, Code' } })
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
      await open()
      await visit(asking())
      await button(new RegExp(`^${name}`)).click()
      await page.locator('[data-question]').waitFor({ state: 'detached' })
      expect(sent()?.body).toMatchObject({ allow })
    }
  })
})

describe('a session that waits for a free slot', () => {
  it('says its place in the head, in the list and above the composer, and leaves the queue', async () => {
    const session = createSession({
      ...{ letter: 'a', title: 'Wait for it' },
      facts: [
        ...prepared,
        { type: 'turn.completed', turnId: turnId('a'), exitCode: null, durationMs: 900 },
        { type: 'sandbox.stopped', generation: 1, why: 'idle' },
        queued('q', 'And then this'),
        { type: 'session.queued' },
      ],
    })
    fixture.add(session)
    fixture.place(session, { number: 3, of: 5 })
    await visit(session)
    const note = page.getByText('Waiting for a free slot')
    await page.getByText('Waiting for a free slot, place 3 of 5').waitFor()
    await page.locator('header').getByText('queued, 3 of 5').waitFor()
    await page.getByRole('navigation').getByText('queued, 3 of 5').waitFor()
    fixture.place(session, { number: 1, of: 4 })
    await page.locator('header').getByText('queued, 1 of 4').waitFor()
    await page.getByRole('button', { name: 'More for this session' }).click()
    await page.getByRole('menuitem', { name: 'Leave the queue' }).click()
    await expect.poll(() => sent()?.path).toBe(`/sessions/${session.id}/stop`)
    fixture.emit(session, { type: 'turn.started', turnId: turnId('q') })
    await note.waitFor({ state: 'detached' })
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
    complaints = complaints.filter((text) => !text.includes('ERR_'))
  })
})

describe('changes', () => {
  it('shows files, commits, the diff and how to fetch the branch', async () => {
    const session = ready()
    fixture.add(session)
    await visit(session)
    await timeline().getByText('Done in 41 s').waitFor()
    await page.keyboard.press('d')
    const panel = page.getByRole('region', { name: 'Changes' })
    await panel.getByText('git fetch origin errand/fix-cart-discount').waitFor()
    await panel.getByRole('button', { name: /^src\/cart.js/ }).waitFor()
    await panel.getByText('b1a2c3d4').waitFor()
    await page.locator('diffs-container').first().getByText('three included').waitFor()
    await page.keyboard.press('d')
    await panel.waitFor({ state: 'detached' })
    await page.keyboard.press('d')
    await panel.getByRole('button', { name: 'Close (d)' }).press('Enter')
    await panel.waitFor({ state: 'detached' })
    const isAtToggle = 'document.activeElement.matches("[data-panel-toggle]")'
    await expect.poll(() => page.evaluate(isAtToggle)).toBe(true)
    await page.setViewportSize({ width: 1024, height: 768 })
    await page.keyboard.press('Enter')
    await expect.poll(focused).toBe('Changes')
  })

  it('keeps the files beside the diff, or above it where there is no room, and goes to one', async () => {
    const session = ready()
    fixture.add(session)
    const names = ['src/one.js', 'src/shop/two.js']
    const lines = Array.from({ length: 200 }, (_, index) => `+export const value${index} = 1\n`)
    const patches = names.map(
      (name) =>
        `diff --git a/${name} b/${name}\nnew file mode 100644\n--- /dev/null\n+++ b/${name}\n@@ -0,0 +1,200 @@\n${lines.join('')}`,
    )
    const files = names.map((path) => ({ ...DIFF.files[0], path, insertions: 200, deletions: 0 }))
    fixture.diff = { ...DIFF, files, patch: patches.join('') }
    await visit(session, '?panel=changes')
    const list = page.getByRole('navigation', { name: 'Files' })
    const diff = page.locator('[data-file="0"]')
    await diff.getByText('value3 ').first().waitFor()
    const edges = async () => {
      const [one, other] = await Promise.all([list.boundingBox(), diff.boundingBox()])
      return {
        beside: one && other && one.x + one.width <= other.x,
        above: one && other && one.y < other.y,
      }
    }
    expect(await edges()).toMatchObject({ beside: true })
    await list.getByRole('button', { name: /^src\/shop\/two\.js, modified/ }).focus()
    await page.keyboard.press('Enter')
    await expect.poll(() => page.evaluate('document.activeElement.dataset.file')).toBe('1')
    await page.locator('[data-file="1"]').getByText('value3 ').first().waitFor()
    await expect.poll(async () => ((await diff.boundingBox())?.y ?? 0) < 0).toBe(true)
    expect((await list.boundingBox())?.y).toBeGreaterThan(0)
    // The one in view is marked, and nothing else; first the one that was gone to.
    const marked = list.locator('[aria-current="true"]')
    await expect.poll(() => marked.getAttribute('aria-label')).toMatch(/two\.js/)
    await diff.evaluate((card) => (card as { scrollIntoView(): void }).scrollIntoView())
    await expect.poll(() => marked.getAttribute('aria-label')).toMatch(/one\.js/)
    expect(await marked.count()).toBe(1)
    await page.setViewportSize(PHONE)
    await expect.poll(edges).toMatchObject({ beside: false, above: true })
  })

  it('takes comments on lines and files, and sends them as one message', async () => {
    const session = ready()
    fixture.add(session)
    await visit(session, '?panel=changes')
    const diff = page.locator('diffs-container').first()
    await diff.getByText('three included').waitFor()
    await diff.locator('[data-column-number="9"]').first().click()
    await page.getByRole('textbox', { name: 'Comment on src/cart.js:9' }).waitFor()
    await page.keyboard.type('Say three in the name')
    await page.keyboard.press('Enter')
    await button('Comment on test/cart.test.js').click()
    await page.keyboard.type('One test too many')
    await page.keyboard.press('Enter')
    await expect.poll(focused).toBe('Comment on test/cart.test.js')
    await page.reload()
    await page.getByText('2 comments on the changes, sent with the next message').waitFor()
    await page.getByLabel('Message').fill('Please')
    await page.getByLabel('Message').press('Control+Enter')
    await page
      .getByRole('region', { name: 'Comments on the changes' })
      .waitFor({ state: 'detached' })
    await expect
      .poll(() => fixture.requests.findLast(({ path }) => path.endsWith('/messages'))?.body)
      .toMatchObject({
        text: 'Please\n\nComments on the changes (lines as of b1a2c3d4e5):\n- src/cart.js:9: Say three in the name\n- test/cart.test.js: One test too many',
      })
  })

  it('takes a comment on lines by keyboard alone, and gives the focus back', async () => {
    const session = ready()
    fixture.add(session)
    await visit(session, '?panel=changes')
    await page.locator('diffs-container').first().getByText('three included').waitFor()
    await page.getByRole('button', { name: /^src\/cart\.js, modified/ }).focus()
    await page.keyboard.press('Enter')
    await expect.poll(focused).toBe('src/cart.js')
    const said = page.locator('[data-file="0"] [role="status"]')
    await page.keyboard.press('ArrowDown')
    await expect.poll(() => said.innerText()).toMatch(/^added line 9: .. From three pieces on/)
    await page.keyboard.press('ArrowDown')
    await expect.poll(() => said.innerText()).toMatch(/^removed line 9: if/)
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('Shift+ArrowDown')
    await expect.poll(() => said.innerText()).toMatch(/^line 11: return/)
    const marked = page.locator('[data-file="0"] [data-column-number][data-selected-line]')
    await expect.poll(() => marked.count()).toBe(2)
    await page.keyboard.press('Enter')
    await page.getByRole('textbox', { name: 'Comment on src/cart.js:10-11' }).waitFor()
    await page.keyboard.type('Round down')
    await page.keyboard.press('Enter')
    await page.getByText('1 comment on the changes, sent with the next message').waitFor()
    await expect.poll(focused).toBe('src/cart.js')
    await page.keyboard.press('Escape')
    await expect.poll(() => marked.count()).toBe(0)
    expect(await page.getByRole('alertdialog').count()).toBe(0)
  })

  it('makes nothing of markup in names of files, commits and the diff', async () => {
    const session = ready()
    fixture.add(session)
    const markup = '<img src=x onerror=window.pwned=1><svg onload=window.pwned=2>'
    const path = `${markup}.svg`
    fixture.diff = {
      ...DIFF,
      patch: `diff --git a/${path} b/${path}\nnew file mode 100644\n--- /dev/null\n+++ b/${path}\n@@ -0,0 +1,1 @@ ${markup}\n+${markup} at the end\n`,
      files: [{ ...DIFF.files[0], path, oldPath: `${markup} before`, status: 'renamed' }],
      commits: [{ ...DIFF.commits[0], subject: `${markup}\u202e`, author: markup }],
    }
    await visit(session, '?panel=changes')
    const panel = page.getByRole('region', { name: 'Changes' })
    await panel.getByText(`${markup}⟨U+202E⟩`).waitFor()
    await page.locator('diffs-container').first().getByText('at the end').waitFor()
    // Locators look into shadow roots too.
    expect(await page.locator('img, iframe, [onload], [onerror]').count()).toBe(0)
    expect(await page.evaluate('window.pwned')).toBeUndefined()
  })

  it('stays quick with a diff of ten thousand lines', async () => {
    const session = ready()
    fixture.add(session)
    const lines = Array.from(
      { length: 10_000 },
      (_, index) => `+export const value${index} = ${index}`,
    )
    const patch = `diff --git a/src/big.js b/src/big.js\nnew file mode 100644\n--- /dev/null\n+++ b/src/big.js\n@@ -0,0 +1,10000 @@\n${lines.join('\n')}\n`
    fixture.diff = {
      ...DIFF,
      patch,
      files: [{ ...DIFF.files[0], path: 'src/big.js', insertions: 10_000 }],
    }
    await visit(session)
    await timeline().getByText('Done in 41 s').waitFor()
    const began = Date.now()
    await page.keyboard.press('d')
    await page.locator('diffs-container').getByText('value3 ').first().waitFor()
    expect(Date.now() - began).toBeLessThan(6000)
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
    await open({ phone: true })
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

/** Buttons that stand out of the window, and cannot be scrolled to. */
const BEYOND_THE_EDGE = `[...document.querySelectorAll('button, a')]
  .filter((e) => { e.scrollIntoView({ block: 'nearest' }); const r = e.getBoundingClientRect(); return r.width > 0 && (r.right > innerWidth + 1 || r.bottom > innerHeight + 1) })
  .map((e) => e.textContent || e.ariaLabel)`

describe('colours', () => {
  it.each([false, true])('have enough contrast (dark: %s)', async (dark) => {
    await open({ dark })
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
