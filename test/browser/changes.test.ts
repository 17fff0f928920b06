// The changes of a session on the page: files, commits, the diff, and comments on it.
import type { Page } from 'playwright-core'
import { beforeEach, describe, expect, it } from 'vitest'
import { PHONE } from './chromium.ts'
import type { Fixture } from './fixture-api.ts'
import { DIFF } from './fixture-diff.ts'
import { append, HEAD, ready } from './fixture-sessions.ts'
import { createStage } from './stage.ts'

const stage = createStage()
const { visit, button, timeline, focused } = stage

let fixture: Fixture
let page: Page
beforeEach(() => {
  ;({ fixture, page } = stage)
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

  it('scrolls the changes alone when the last file is gone to', async () => {
    const session = ready()
    fixture.add(session)
    const names = Array.from({ length: 30 }, (_, index) => `src/file-${index + 10}.js`)
    const patches = names.map(
      (name) =>
        `diff --git a/${name} b/${name}\nnew file mode 100644\n--- /dev/null\n+++ b/${name}\n@@ -0,0 +1 @@\n+export const of = '${name}'\n`,
    )
    const files = names.map((path) => ({ ...DIFF.files[0], path, insertions: 1, deletions: 0 }))
    fixture.diff = { ...DIFF, files, patch: patches.join('') }
    await visit(session, '?panel=changes')
    const list = page.getByRole('navigation', { name: 'Files' })
    await page.locator('[data-file="0"]').getByText('export const').waitFor()
    await list.getByRole('button', { name: /^src\/file-39\.js/ }).press('Enter')
    await expect.poll(() => page.evaluate('document.activeElement.dataset.file')).toBe('29')
    expect(await page.evaluate('scrollY')).toBe(0)
    expect(await page.evaluate('document.documentElement.scrollHeight - innerHeight')).toBe(0)
  })

  it('calls a binary file so, and counts no lines of it', async () => {
    const session = ready()
    const measured = { commit: HEAD, filesChanged: 1, insertions: 0, deletions: 0 }
    append(session, { type: 'changes.measured', ...measured })
    fixture.add(session)
    const head = 'diff --git a/logo.png b/logo.png\nindex 3b18e51..9c1f0aa 100644\n'
    const file = { ...DIFF.files[0], path: 'logo.png', binary: true, insertions: 0, deletions: 0 }
    fixture.diff = {
      ...{ ...DIFF, files: [file], insertions: 0, deletions: 0 },
      patch: `${head}Binary files a/logo.png and b/logo.png differ\n`,
    }
    await visit(session, '?panel=changes')
    await page.locator('[data-file="0"]').getByText('binary').waitFor()
    const row = page.locator(`[data-session-row="${session.id}"]`)
    await row.getByText('1 file').waitFor()
    expect(await page.getByText('+0').count()).toBe(0)
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

  it('keeps a comment that is being written, with the commit that it is about', async () => {
    const session = ready()
    fixture.add(session)
    await visit(session, '?panel=changes')
    const diff = page.locator('diffs-container').first()
    await diff.getByText('three included').waitFor()
    await diff.locator('[data-column-number="9"]').first().click()
    const box = page.getByRole('textbox', { name: 'Comment on src/cart.js:9' })
    await box.fill('Say three')
    await page.reload()
    await box.waitFor()
    expect(await box.inputValue()).toBe('Say three')
    // Of another commit the lines may be others.
    const commit = 'c'.repeat(40)
    fixture.diff = {
      ...DIFF,
      head: commit,
      patch: DIFF.patch.replace('three included', 'all three'),
    }
    fixture.emit(session, {
      ...{ type: 'changes.measured', commit, filesChanged: 2, insertions: 12, deletions: 3 },
    })
    await diff.getByText('all three').waitFor()
    expect(await box.inputValue()).toBe('Say three')
    await box.press('Enter')
    await diff.locator('[data-column-number="11"]').first().click()
    await page.getByRole('textbox', { name: 'Comment on src/cart.js:11' }).fill('Round')
    // Another line takes it along.
    await diff.locator('[data-column-number="12"]').first().click()
    const moved = page.getByRole('textbox', { name: 'Comment on src/cart.js:12' })
    await expect.poll(focused).toBe('Comment on src/cart.js:12')
    expect(await moved.inputValue()).toBe('Round')
    await moved.press('Enter')
    await page.getByText('2 comments on the changes, sent with the next message').waitFor()
    await page.getByLabel('Message').press('Control+Enter')
    const said = '(lines as of b1a2c3d4e5, cccccccccc):'
    await expect
      .poll(() => fixture.requests.findLast(({ path }) => path.endsWith('/messages'))?.body)
      .toMatchObject({ text: expect.stringContaining(said) })
  })

  it('copies also where the browser has no clipboard for it, as over plain http', async () => {
    const session = ready()
    fixture.add(session)
    await page.addInitScript(`Object.defineProperty(navigator, 'clipboard', { value: undefined })`)
    await visit(session, '?panel=changes')
    await button('Copy branch name').click()
    await button('Copied').waitFor()
    await page.getByLabel('Message').focus()
    await page.keyboard.press('Control+V')
    expect(await page.getByLabel('Message').inputValue()).toBe('errand/fix-cart-discount')
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

  it('holds up no message that is written beside it, of however many files', async () => {
    const session = ready()
    fixture.add(session)
    const timeToWrite = async () => {
      await visit(session, '?panel=changes')
      await page.locator('diffs-container').first().getByText('three included').waitFor()
      await page.getByLabel('Message').focus()
      const startedAt = performance.now()
      await page.keyboard.type('and what of the documentation?')
      return performance.now() - startedAt
    }
    const few = await timeToWrite()
    fixture.diff = manyFiles(400)
    expect(await timeToWrite()).toBeLessThan(4 * few + 1000)
  })

  it('is there soon, however many files it has, and goes to the last of them', async () => {
    const session = ready()
    fixture.add(session)
    fixture.diff = manyFiles(2000)
    await visit(session, '?panel=changes')
    await page.locator('[data-file="0"]').getByText('three included').waitFor()
    await page.getByRole('button', { name: /^src\/part1990\.js/ }).click()
    const wanted = page.locator('[data-file="1990"]')
    await wanted.getByText('three included').waitFor()
    await expect.poll(focused).toBe('src/part1990.js')
    const isSeen = `(() => {
      const { top } = document.querySelector('[data-file="1990"]').getBoundingClientRect()
      return top >= 0 && top < innerHeight / 2
    })()`
    await expect.poll(() => page.evaluate(isSeen)).toBe(true)
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

/** The first file of the fixture's, so many times. */
function manyFiles(count: number): typeof DIFF {
  const [first = ''] = DIFF.patch.split(/(?=^diff --git a\/test)/m)
  const paths = Array.from({ length: count }, (_, index) => `src/part${index}.js`)
  const patch = paths.map((path) => first.replaceAll('src/cart.js', path)).join('')
  const files = paths.map((path) => ({ ...DIFF.files[0], path })) as typeof DIFF.files
  return { ...DIFF, patch, files }
}
