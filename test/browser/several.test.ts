// Several repositories on the page: named in the composer, shown in the head of a session, each with its changes. At a desk and
// on a phone. Set ERRAND_PICTURES to a folder to look at them.
import type { Page } from 'playwright-core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { EventBody } from '../../src/protocol/event.ts'
import type { Fixture } from './fixture-api.ts'
import { DIFF } from './fixture-diff.ts'
import { createSession, delivered, type Fact, HEAD, prepared, work } from './fixture-sessions.ts'
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

const LIB = 'https://git.example.com/shop/lib.git'
const DOCS = 'https://git.example.com/shop/docs.git'

/** With a library that it changed as well, and documents that it reads. */
function severalSession() {
  const seen: Fact[] = [
    [
      'seen',
      {
        ...{ type: 'push.accepted', repository: 'lib', ref: 'refs/heads/errand/fix-cart-discount' },
        ...{ commit: HEAD, outward: 'kept', message: 'The git host does not answer.' },
      },
    ],
    [
      'seen',
      {
        ...{ type: 'push.refused', repository: 'lib', ref: 'refs/heads/next' },
        ...{ reason: 'ref_not_allowed', message: 'Only its own branch.' },
      },
    ],
    [
      'seen',
      {
        ...{ type: 'changes.measured', repository: 'lib', commit: HEAD },
        ...{ filesChanged: 1, insertions: 5, deletions: 1 },
      },
    ],
  ]
  const session = createSession({
    ...{ letter: 's', title: 'Use the new client' },
    facts: [...prepared, ...work('s'), ...delivered('s'), ...seen],
  })
  const created = session.events[0]?.body as Extract<EventBody, { type: 'session.created' }>
  const one = (name: string, url: string, access: 'read' | 'write') => ({
    ...{ source: { kind: 'remote' as const, url, credentialId: null }, name, url, access },
    ...{ baseBranch: null, commit: null, branch: created.repository.branch },
  })
  created.additional = [one('lib', LIB, 'write'), one('docs', DOCS, 'read')]
  return session
}

it.each([
  ['a desk', false],
  ['a phone', true],
])('adds repositories to a new task at %s', async (_, isPhone) => {
  await open('/', isPhone)
  await page.getByLabel('Task', { exact: true }).fill('Use the new client')
  await page.locator('[data-repository]').fill('https://git.example.com/shop/cart.git')
  const add = page.getByRole('button', { name: 'Repository', exact: true })
  for (let count = 0; count < 3; count++) await add.click()
  await page.getByLabel('Address of repository 2').fill(LIB)
  await page.getByLabel('Start from').nth(1).fill('next')
  await page.getByLabel('Address of repository 3').fill(DOCS)
  await page.getByLabel('Access').nth(1).selectOption('read')
  await picture(`composer ${isPhone}`)
  await page.getByRole('button', { name: 'Remove repository 4' }).click()
  fixture.add(severalSession())
  await page.getByRole('button', { name: 'Start task' }).click()
  await page.waitForURL(/\/sessions\/s_s/)
  const sent = fixture.requests.find(({ path }) => path === '/sessions')
  expect(sent?.body).toMatchObject({
    additional: [
      { source: { kind: 'remote', url: LIB }, baseBranch: 'next', access: 'write' },
      { source: { kind: 'remote', url: DOCS }, baseBranch: null, access: 'read' },
    ],
  })
})

it.each([
  ['a desk', false],
  ['a phone', true],
])('shows the changes of each repository at %s', async (_, isPhone) => {
  const session = severalSession()
  fixture.add(session)
  fixture.diff = DIFF
  const patch =
    'diff --git a/lib.js b/lib.js\n--- a/lib.js\n+++ b/lib.js\n@@ -1 +1 @@\n-old\n+new\n'
  const file = { path: 'lib.js', oldPath: null, status: 'modified', binary: false }
  fixture.additionalDiffs = {
    lib: {
      ...{ base: 'a'.repeat(40), head: HEAD, insertions: 5, deletions: 1, commits: [] },
      ...{ files: [{ ...file, insertions: 5, deletions: 1 }], patch, truncated: false },
    },
  }
  await open(`/sessions/${session.id}?panel=changes`, isPhone)
  const panel = page.getByRole('region', { name: 'Changes' })
  await panel.getByRole('button', { name: /^src\/cart\.js/ }).waitFor()
  const tabs = panel.getByRole('navigation', { name: 'Repositories' })
  expect(await tabs.getByRole('button').allInnerTexts()).toEqual([
    expect.stringMatching(/^cart/),
    expect.stringMatching(/^lib/),
  ])
  await picture(`changes of the main one ${isPhone}`)
  await tabs.getByRole('button', { name: /^lib/ }).click()
  await panel.locator('diffs-container').getByText('new').first().waitFor()
  await panel.getByText('not yet at the remote').waitFor()
  await picture(`changes of another one ${isPhone}`)
  await page.goto(`${fixture.url}/sessions/${session.id}`)
  await page.getByRole('region', { name: 'Not yet at the remote' }).getByText('lib:').waitFor()
  await page.getByText('docs (read only)').waitFor({ state: 'attached' })
  await page.getByText(/of lib, kept here/).waitFor()
  await picture(`session ${isPhone}`)
})

it.each([
  ['a desk', false],
  ['a phone', true],
])('allows a refused push of the repository that it was made to at %s', async (_, isPhone) => {
  const session = severalSession()
  fixture.add(session)
  await open(`/sessions/${session.id}`, isPhone)
  const allow = page.getByRole('button', { name: 'Allow pushes to next of lib' })
  await allow.waitFor()
  await picture(`refused push ${isPhone}`)
  // By a key: what is still being laid out may move away between the two halves of a click.
  const answered = page.waitForResponse('**/grant')
  await allow.press('Enter')
  await answered
  await page.getByText('May push in lib to: its own branch, next.').waitFor()
  await allow.waitFor({ state: 'detached' })
  const sent = fixture.requests.filter(({ path }) => path.endsWith('/grant'))
  expect(sent.map(({ body }) => body)).toEqual([{ grant: 'next', repository: 'lib' }])
})
