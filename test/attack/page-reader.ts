// Reads a session on the page, in a real browser: the built page or one that was built with markdown that holds nothing back,
// served by the app of the server with its headers or without one of them.
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Browser, chromium, type Page } from 'playwright-core'
import { build } from 'vite'
import { expect, vi } from 'vitest'
import { LAST_WORDS, PAGE_ATTACKS, PROGRAM } from '../../src/attack/shown-cases.ts'
import { createTestApp, signIn, type TestApp } from '../../src/http/app.fixture.ts'
import { createHttpApp } from '../../src/http/app.ts'
import { SECURE_HEADERS } from '../../src/http/security.ts'
import { applyEvent, emptyView } from '../../src/protocol/apply-event.ts'
import { createGitDoor } from '../../src/server.ts'
import type { TestDatabase } from '../../src/store/postgres/database.fixture.ts'
import { CHROMIUM, FLAGS } from '../browser/chromium.ts'
import { serveApp } from './api.ts'
import { PUBLIC_ADDRESS, type StandIn } from './own-network.ts'
import type { Session } from './terminal-reader.ts'

const ROOT = join(import.meta.dirname, '../..')
const LIMIT_MS = 60_000

export interface PageParts {
  /** The page's markdown holds nothing back. */
  isTrusting?: boolean
  /** Of the headers that protect an answer, those that are left out. */
  without?: string[]
}

export interface PageReader {
  /** What became of each attack. */
  read(session: Session, parts: PageParts): Promise<string>
  /** What became of the large file that is a program. */
  runFile(session: Session, parts: PageParts): Promise<string>
  close(): Promise<void>
}

interface Place {
  database: TestDatabase
  standIn: StandIn
  gitSocket: string
}

export async function openPageReader({ database, standIn, gitSocket }: Place): Promise<PageReader> {
  const trusting = await mkdtemp(join(tmpdir(), 'errand-trusting-page-'))
  const built = buildTrustingPage(trusting)
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS })
  const test = await createTestApp(database)
  const at = (session: Session, parts: PageParts, use: (opened: Opened) => Promise<string>) =>
    withPage({ browser, test, gitSocket, trusting, session }, parts, use)
  return {
    read: async (session, parts) => {
      await built
      standIn.requests.length = 0
      return at(session, parts, (opened) => readAttacks(opened, standIn))
    },
    runFile: (session, parts) => at(session, parts, runFile),
    close: async () => {
      await built
      await browser.close()
      await rm(trusting, { recursive: true, force: true })
    },
  }
}

/** The page as it is built, but for what makes markdown harmless. */
async function buildTrustingPage(outDir: string): Promise<void> {
  const body = join(ROOT, 'web/src/ui/markdown-body.fixture.tsx')
  await build({
    configFile: join(ROOT, 'web/vite.config.ts'),
    logLevel: 'error',
    build: { outDir, emptyOutDir: true, minify: false },
    plugins: [
      {
        name: 'trusting-markdown',
        enforce: 'pre',
        resolveId: (source, importer) =>
          source === './markdown-body.tsx' && importer?.endsWith('/markdown.tsx')
            ? body
            : undefined,
      },
    ],
  })
}

interface Opened {
  page: Page
  session: Session
  /** What the console of the browser said. */
  said: string[]
}

interface Scene {
  browser: Browser
  test: TestApp
  gitSocket: string
  trusting: string
  session: Session
}

/** Signed in as the owner, at the page of the session. */
async function withPage(
  { browser, test, gitSocket, trusting, session }: Scene,
  { isTrusting = false, without = [] }: PageParts,
  use: (opened: Opened) => Promise<string>,
): Promise<string> {
  const { deps, sessions } = test
  const owner = await signIn(test, await deps.accounts.ensureOwner())
  const { session: state } = session.events.reduce(applyEvent, emptyView)
  if (!state) throw new Error('there is no session')
  sessions.states.set(state.id, { ...state, ownerId: owner.user.id })
  sessions.logs.set(state.id, [...session.events])
  const webFolder = isTrusting ? trusting : join(ROOT, 'dist/web')
  const headers = Object.fromEntries(
    Object.entries(SECURE_HEADERS).filter(([name]) => !without.includes(name)),
  )
  const served = await serveApp((host) => {
    const site = { ...deps.site, webFolder, hosts: [host], origins: [`http://${host}`] }
    const diff = async () => session.diff
    const given = { ...deps, site, gitDoor: createGitDoor(gitSocket) }
    return createHttpApp({ ...given, sessions: { ...sessions, diff } }, { headers })
  })
  const url = `http://${served.host}`
  const context = await browser.newContext()
  const cookies = owner.cookie.split('; ').map((pair) => pair.split(/=(.*)/s))
  await context.addCookies(cookies.map(([name = '', value = '']) => ({ name, value, url })))
  try {
    const page = await context.newPage()
    page.setDefaultTimeout(LIMIT_MS)
    const said: string[] = []
    page.on('console', (message) => said.push(message.text()))
    await page.goto(`${url}/sessions/${state.id}`)
    await page.locator('[data-timeline]').waitFor()
    return await use({ page, session, said })
  } finally {
    await context.close()
    await served.close()
  }
}

async function readAttacks({ page, said }: Opened, standIn: StandIn): Promise<string> {
  // Only markdown that was read is strong.
  await page.locator('strong', { hasText: LAST_WORDS }).waitFor()
  const at = `http://${PUBLIC_ADDRESS}:${standIn.port}`
  let lines: string[] = []
  await vi
    .waitFor(
      async () => {
        const shown = await page.evaluate<Shown>(SHOWN)
        const outcomes = PAGE_ATTACKS.map((way) => {
          if (standIn.requests.some(({ line }) => line === `GET /${way}`)) return 'loaded'
          const refused = said.find((text) => isAbout(text, `${at}/${way}`, way))
          const directive = /directive:? ["']([a-z-]+)/.exec(refused ?? '')?.[1]
          if (directive !== undefined) return `refused by ${directive}`
          const has = (text: string) => new RegExp(`${at}/${way}(?![a-z-])`).test(text)
          return has(shown.read) && !has(shown.held) ? 'shown as text' : 'missing'
        })
        lines = PAGE_ATTACKS.map((way, index) => `${way}: ${outcomes[index]}`)
        if (outcomes.includes('missing')) throw new Error(lines.join('\n'))
      },
      { timeout: LIMIT_MS, interval: 50 },
    )
    .catch(() => lines.push(...said.map((text) => `said: ${text}`)))
  return `${lines.join('\n')}\n`
}

/** What a browser says of code that stands in the page names no address, and of a frame its origin alone. */
const WITHOUT_ADDRESS: Partial<Record<string, RegExp>> = {
  frame: /^(Framing|Refused to frame) 'http/,
  'inline-script': /inline script/,
  handler: /inline event handler/,
}

function isAbout(said: string, address: string, way: string): boolean {
  return said.includes(`'${address}'`) || WITHOUT_ADDRESS[way]?.test(said) === true
}

interface Shown {
  /** What can be read, titles too. */
  read: string
  /** What elements have as attributes, and styles as their text. A link does nothing before somebody presses it. */
  held: string
}

const SHOWN = `(() => {
  const timeline = document.querySelector('[data-timeline]')
  const all = [...timeline.querySelectorAll('*')]
  const read = [timeline.textContent, ...all.map(({ title }) => title)]
  const attributes = all.filter(({ tagName }) => tagName !== 'A').flatMap((element) =>
    [...element.attributes].filter(({ name }) => name !== 'title').map(({ value }) => value))
  const styles = [...timeline.querySelectorAll('style')].map(({ textContent }) => textContent)
  return { read: read.join(' '), held: [...attributes, ...styles].join(' ') }
})()`

async function runFile({ page, session, said }: Opened): Promise<string> {
  const object = {
    oid: createHash('sha256').update(PROGRAM).digest('hex'),
    size: PROGRAM.length,
  }
  const files = `/api/v1/git/sessions/${session.events[0]?.sessionId}/info/lfs/objects`
  const asked = { operation: 'download', transfers: ['basic'], objects: [object] }
  const title = await page.evaluate<string>(`(async () => {
    const body = ${JSON.stringify(JSON.stringify(asked))}
    const headers = { 'content-type': 'application/vnd.git-lfs+json' }
    const answer = await fetch('${files}/batch', { method: 'POST', headers, body })
    if (!answer.ok) return 'no batch: ' + (await answer.text())
    return new Promise((resolve) => {
      const script = document.createElement('script')
      script.src = '${files}/${object.oid}'
      script.onload = () => resolve(document.title)
      script.onerror = () => resolve('refused')
      document.head.append(script)
    })
  })()`)
  if (title === 'the file ran') return 'script: ran\n'
  if (title !== 'refused') return `script: ${title}\n`
  const reason = () => expect.poll(() => said.join(' ')).toContain('strict MIME type checking')
  return `script: refused ${await reason().then(() => 'for its type', String)}\n`
}
