// A person at the page of a real Errand: logs in by the one-time link, follows a task live, answers, reads the changes.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createSampleRepository } from '../../demo/repository.ts'
import { type Installation, startInstallation } from '../e2e/installation.ts'
import { CHROMIUM, DESK, FLAGS, PHONE, takePicture } from './chromium.ts'

let errand: Installation
let folder: string
let repository: string
let browser: Browser
let page: Page
const complaints: string[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'errand-page-'))
  repository = join(folder, 'cart')
  await createSampleRepository(repository)
  errand = await startInstallation({ paceMs: 2 })
  browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS })
  page = await (await browser.newContext({ viewport: DESK })).newPage()
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
  page.on('pageerror', (error) => complaints.push(error.message))
})
afterAll(async () => {
  await browser?.close()
  await errand?.stop()
  await rm(folder, { recursive: true, force: true })
})

const picture = (name: string) => takePicture(page, name)

describe('the page of a real installation', () => {
  it('asks to log in, and takes the one-time link once', async () => {
    await page.goto(errand.url)
    await page.getByText('one-time link').first().waitFor()
    await page.goto(errand.loginUrl)
    await page
      .getByRole('textbox', { name: /task|message|prompt/i })
      .first()
      .waitFor()
    const other = await (await browser.newContext()).newPage()
    await other.goto(errand.loginUrl)
    expect(new URL(other.url()).searchParams.get('login')).toBe('invalid')
    await other.context().close()
    complaints.length = 0
  })

  it('shows a task from its start to its diff while it happens', async () => {
    const { id } = await errand.start(repository, 'make the failing test pass')
    await page.goto(`${errand.url}/sessions/${id}`)
    await page.getByText('The failing test passes now').waitFor({ timeout: 60_000 })
    await page.getByText('Sandbox prepared').waitFor()
    await page.getByText('node --test').first().waitFor()
    await page.keyboard.press('d')
    await page.getByText('>= DISCOUNT_FROM').last().waitFor()
    await page.getByText('+1').first().waitFor()
    await picture('page-desktop')
    await page.reload()
    await page.getByText('The failing test passes now').waitFor()
    expect(complaints).toEqual([])
  })

  it('answers a question of the agent with a click', async () => {
    const { id } = await errand.start(repository, 'add a currency sign')
    await page.goto(`${errand.url}/sessions/${id}`)
    const question = page.getByText('The agent asks')
    await question.waitFor({ timeout: 60_000 })
    await expect.poll(() => page.title()).toMatch(/needs you/i)
    await picture('page-question')
    const asked = await errand.client.getSession(id)
    const label = asked.questions[0]?.items[0]?.options[0]?.label ?? ''
    await page.getByText(label, { exact: true }).last().click()
    const send = page.getByRole('button', { name: /^(send|answer)/i })
    if (await send.isVisible().catch(() => false)) await send.first().click()
    await errand.finish(id)
    await question.waitFor({ state: 'detached' })
    expect(complaints).toEqual([])
  })

  it('sends a follow-up and stops a session, also on a phone', async () => {
    await page.setViewportSize(PHONE)
    const { id } = await errand.start(repository, 'how does the discount work?')
    const first = await errand.finish(id)
    await page.goto(`${errand.url}/sessions/${id}`)
    const composer = page.getByRole('textbox').last()
    await composer.fill('make the failing test pass')
    await composer.press('Control+Enter')
    await errand.finish(id, first.at(-1)?.seq)
    await page.getByText('The failing test passes now').waitFor()
    await picture('page-phone')
    const overflow = await page.evaluate('document.documentElement.scrollWidth - innerWidth')
    expect(overflow).toBeLessThanOrEqual(0)
    expect(complaints).toEqual([])
  })
})
