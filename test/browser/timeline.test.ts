// The timeline of a session on the page: what it shows, live and afterwards, and that nothing that a sandbox writes becomes more
// than text.
import type { Page } from 'playwright-core'
import { beforeEach, describe, expect, it } from 'vitest'
import type { Fixture } from './fixture-api.ts'
import {
  createSession,
  type Fact,
  failedPhase,
  prepared,
  preparing,
  queued,
  ready,
  running,
  text,
  tool,
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

const scrollGap = () =>
  page.evaluate<number>(
    `(() => { const t = document.querySelector('[data-timeline]'); return t.scrollHeight - t.scrollTop - t.clientHeight })()`,
  )

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
  })

  it('shows what a restored backup has, where that is less than it had shown', async () => {
    const session = running()
    fixture.add(session)
    await visit(session)
    fixture.emit(session, text('a', 'Said after the backup.'))
    await timeline().getByText('Said after the backup.').waitFor()
    session.events.pop()
    fixture.cutStreams()
    await timeline().getByText('Said after the backup.').waitFor({ state: 'detached' })
    await timeline().getByText('2 files read').waitFor()
    fixture.emit(session, text('a', 'Said after it was restored.'))
    await timeline().getByText('Said after it was restored.').waitFor()
    forgive('409')
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

  it('says nothing of a second press of the same button, which has nothing to do any more', async () => {
    const session = createSession({ letter: 'd', title: 'Prices', facts: failedPhase })
    fixture.add(session)
    let asked = 0
    await page.route('**/retry', (route) => {
      asked += 1
      if (asked === 1) return route.fallback()
      const error = { code: 'conflict', reason: 'nothing_failed', message: 'Nothing has failed.' }
      return route.fulfill({ status: 409, json: { error } })
    })
    await visit(session)
    await button('Retry').waitFor()
    const refused = page.waitForResponse((response) => response.status() === 409)
    await page.evaluate(`(() => {
      const retry = [...document.querySelectorAll('button')].find((one) => one.innerText === 'Retry')
      retry.click()
      retry.click()
    })()`)
    await (await refused).finished()
    await page.getByText('preparing').first().waitFor()
    // What comes after the answer is drawn after it.
    fixture.emit(session, { type: 'session.renamed', title: 'Prices and more' })
    await page.getByRole('heading', { name: 'Prices and more' }).waitFor()
    expect(await page.getByText('It was not started again').count()).toBe(0)
    forgive('409')
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

describe('a press in the timeline', () => {
  it('is not lost when more is written meanwhile', async () => {
    const before = Array.from({ length: 40 }, (_, index) => text('p', `Paragraph ${index}`))
    const call = tool('p', 'Bash', { command: 'npm test' }, { output: 'all of it passed' })
    const session = createSession({
      ...{ letter: 'p', title: 'Press', facts: [...prepared, ...before, ...call] },
    })
    fixture.add(session)
    await visit(session)
    const opener = timeline().getByRole('button', { name: /npm test/ })
    await opener.hover()
    await expect.poll(scrollGap).toBeLessThan(60)
    await page.mouse.down()
    fixture.emit(session, ...Array.from({ length: 10 }, (_, index) => text('p', `More ${index}`)))
    await timeline().getByText('More 9').waitFor()
    await page.mouse.up()
    await timeline().getByText('all of it passed').waitFor()
    // Afterwards it is at its end again.
    await expect.poll(scrollGap).toBeLessThan(60)
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
