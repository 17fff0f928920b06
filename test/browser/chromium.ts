// How the browser suites start Debian's Chromium, the two sizes that they look at, and the pictures that they take.
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'

export const CHROMIUM = '/usr/bin/chromium'
export const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
export const DESK = { width: 1440, height: 900 }
export const PHONE = { width: 390, height: 844 }

/** In a context of its own; a phone is one that is touched. */
export async function openPage(browser: Browser, url: string, isPhone: boolean): Promise<Page> {
  const context = await browser.newContext({
    viewport: isPhone ? PHONE : DESK,
    ...(isPhone ? { hasTouch: true, isMobile: true } : {}),
  })
  const page = await context.newPage()
  page.setDefaultTimeout(20_000)
  await page.goto(url)
  return page
}

/** Where ERRAND_PICTURES names a folder. */
export async function takePicture(page: Page, name: string): Promise<void> {
  const folder = process.env.ERRAND_PICTURES
  if (folder) await page.screenshot({ path: join(folder, `${name}.png`) })
}
