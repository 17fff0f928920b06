// Environments on the page: listed, made, edited, copied, archived, chosen; what a repository asks for; hooks. At a desk and on a
// phone. Set ERRAND_PICTURES to a folder to look at them.
import type { Page } from 'playwright-core'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { EventBody } from '../../src/protocol/event.ts'
import type { Fixture } from './fixture-api.ts'
import { SHOP } from './fixture-environments.ts'
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

async function open(path: string, isPhone = false) {
  page = await stage.open({ phone: isPhone })
  await page.goto(`${fixture.url}${path}`)
}
const button = (name: string | RegExp) => page.getByRole('button', { name, exact: true })
const bodyOf = (method: string, path: string) =>
  fixture.requests.find((one) => one.method === method && one.path === path)?.body
const menu = async (name: string, action: string) => {
  await button(`More for ${name}`).click()
  await page.getByRole('menuitem', { name: action, exact: true }).click()
}

it.each([false, true])(
  'lists them, and says what a session starts with (phone: %s)',
  async (isPhone) => {
    await open('/environments', isPhone)
    await page.getByText('reaches api.example.com, *.example.org').waitFor()
    await page.getByText('https://git.example.com/shop/cart.git').waitFor()
    await picture(`environments-${isPhone ? 'phone' : 'desk'}`)
    await menu('Shop', 'Make it the default')
    const shop = page.getByRole('listitem').filter({ hasText: 'Shop' }).first()
    await shop.getByText('default', { exact: true }).waitFor()
    expect(bodyOf('PATCH', '/environment-defaults')).toEqual({
      ...{ repository: null, environment: SHOP.id },
    })
    await menu('Shop', 'Archive')
    await page.getByText('reaches api.example.com').waitFor({ state: 'detached' })
  },
)

it.each([false, true])('keeps a credential for an API (phone: %s)', async (isPhone) => {
  await open('/environments', isPhone)
  await page.getByText('npm.example.com, files.example.com').waitFor()
  await page.getByText('bearer · as NPM_TOKEN').waitFor()
  await button('Add a credential').click()
  // Whom a session sends here that was refused by its git host.
  expect(await page.getByLabel('Kind').inputValue()).toBe('https')
  await page.getByLabel('Kind').selectOption('header')
  await page.getByLabel('Hosts').fill('api.example.com *.api.example.com')
  await page.getByLabel('Name of the header').fill('X-Api-Key')
  await page.getByLabel('Before the value').fill('Token ')
  await page.getByLabel('Value', { exact: true }).fill('hunter2hunter2')
  await page.getByLabel('Only below these paths').fill('/v1/')
  await page.getByLabel('For sessions of').selectOption(SHOP.id)
  await page.getByLabel('Also to http:// addresses').check()
  await button('Keep it').scrollIntoViewIfNeeded()
  await picture(`credential-new-${isPhone ? 'phone' : 'desk'}`)
  await button('Keep it').click()
  await button('Add a credential').waitFor()
  expect(bodyOf('POST', '/credentials')).toEqual({
    ...{ host: 'api.example.com', kind: 'header', username: '', secret: 'hunter2hunter2' },
    binding: {
      ...{ otherHosts: ['*.api.example.com'], paths: ['/v1/'], environmentId: SHOP.id },
      ...{ variable: null, header: 'X-Api-Key', prefix: 'Token', allowHttp: true },
    },
  })
  await picture(`credentials-${isPhone ? 'phone' : 'desk'}`)
  await button('Forget the credential for npm.example.com').click()
  const [forget, keep] = [
    await button('Forget it').boundingBox(),
    await button('Keep it').boundingBox(),
  ]
  expect(forget?.y).toBe(keep?.y)
})

it.each([false, true])('changes one, field by field (phone: %s)', async (isPhone) => {
  await open(`/environments/${SHOP.id}`, isPhone)
  const variables = page.getByLabel('Variables')
  await variables.waitFor()
  expect(await variables.inputValue()).toBe("NODE_ENV=test\nGREETING='two words'\n")
  await picture(`environment-${isPhone ? 'phone' : 'desk'}`)
  await variables.fill('NODE_ENV=test\nnonsense')
  await button('Save').click()
  await page.getByText('Line 2: a line is NAME=value').waitFor()
  expect(fixture.requests).toEqual([])
  await variables.fill('GH_TOKEN=hunter2\nA=1')
  await page.getByText('GH_TOKEN looks like a secret').waitFor()
  await page.getByLabel('Host that GH_TOKEN opens').fill('git.example.com')
  await variables.scrollIntoViewIfNeeded()
  await picture(`environment-secret-${isPhone ? 'phone' : 'desk'}`)
  await button('Keep as a credential').click()
  await page.getByText('looks like a secret').waitFor({ state: 'detached' })
  expect(bodyOf('POST', '/credentials')).toEqual({ host: 'git.example.com', secret: 'hunter2' })
  await variables.fill('A=1\nSHOP_API_KEY=hunter3')
  await page.getByText('the variable holds a placeholder').waitFor()
  expect(await button('Keep as a credential').isDisabled()).toBe(true)
  await page.getByLabel('Host that SHOP_API_KEY opens').fill('api.example.com')
  await picture(`environment-api-secret-${isPhone ? 'phone' : 'desk'}`)
  await button('Keep as a credential').click()
  await page.getByText('looks like a secret').waitFor({ state: 'detached' })
  expect(
    fixture.requests.filter(({ path }) => path === '/credentials').map(({ body }) => body),
  ).toContainEqual({
    ...{ host: 'api.example.com', secret: 'hunter3', kind: 'bearer' },
    binding: { variable: 'SHOP_API_KEY', environmentId: SHOP.id },
  })
  await page.getByLabel('Network').selectOption('full')
  await page.getByLabel('Memory, GiB').fill('8')
  await button('Save').click()
  await page.waitForURL(/\/environments$/)
  expect(bodyOf('PATCH', `/environments/${SHOP.id}`)).toMatchObject({
    ...{ name: 'Shop', variablesText: 'A=1\n', setup: 'npm ci' },
    network: { level: 'full', domains: [], includeTrusted: false },
    limits: { memoryBytes: 8 * 1024 ** 3, cpus: 2 },
  })
})

it.each([false, true])('edits its rules, line by line (phone: %s)', async (isPhone) => {
  const size = isPhone ? 'phone' : 'desk'
  await open(`/environments/${SHOP.id}`, isPhone)
  const rules = page.getByLabel('Only these requests to some hosts')
  await rules.waitFor()
  expect(await rules.inputValue()).toBe('forge.example.com GET /v1/*')
  await rules.fill('forge.example.com GET /v1/*\nforge.example.com')
  await page.getByLabel('Hosts that may be reached').fill('api.example.com\n*.com')
  await button('Save').click()
  await page.getByText('Line 2: forge.example.com is no rule').waitFor()
  await page.getByText('Line 2: *.com is no host name').waitFor()
  expect(fixture.requests).toEqual([])
  await rules.scrollIntoViewIfNeeded()
  await picture(`environment-rules-${size}`)
  await page.getByLabel('Network', { exact: true }).selectOption('trusted')
  await rules.fill('forge.example.com GET,POST /v1/*,/v2\n\napi.example.com *')
  await button('Save').click()
  await page.waitForURL(/\/environments$/)
  expect(bodyOf('PATCH', `/environments/${SHOP.id}`)).toMatchObject({
    network: {
      ...{ level: 'trusted', domains: [], includeTrusted: false },
      rules: [
        { host: 'forge.example.com', methods: ['GET', 'POST'], paths: ['/v1/*', '/v2'] },
        { host: 'api.example.com', methods: [], paths: [] },
      ],
    },
  })
})

it.each([false, true])('sets the network of every session (phone: %s)', async (isPhone) => {
  const size = isPhone ? 'phone' : 'desk'
  await open('/environments', isPhone)
  const section = page.getByRole('region', { name: 'Network of every session' })
  await section.getByText('*.evil.example').waitFor()
  await section.scrollIntoViewIfNeeded()
  await picture(`installation-network-${size}`)
  await section.getByRole('button', { name: 'Change it' }).click()
  await section.getByLabel('Hosts that are refused').fill('*.evil.example\n*.com')
  await section.getByLabel('GiB a day').fill('none')
  const set = section.getByRole('button', { name: 'Set it for every session' })
  await set.click()
  await section.getByText('Line 2: *.com is no host name').waitFor()
  await section.getByText('A number above 0').waitFor()
  await set.scrollIntoViewIfNeeded()
  await picture(`installation-network-form-${size}`)
  expect(fixture.requests).toEqual([])
  await section.getByLabel('Hosts that are refused').fill('*.evil.example\npaste.example')
  await section.getByLabel('Hosts that are allowed').fill('proxy.example.com:8443')
  await section.getByLabel('GiB a day').fill('20')
  await set.click()
  await section.getByText('20 GiB a day at most').waitFor()
  expect(bodyOf('PATCH', '/installation/network')).toEqual({
    ...{ allow: ['proxy.example.com:8443'], deny: ['*.evil.example', 'paste.example'] },
    limits: { connectionsPerSecond: null, bytesPerDay: 20 * 1024 ** 3 },
  })
})

it('keeps what was typed while somebody looks elsewhere, and secrets in no storage', async () => {
  const session = createSession({ letter: 'k', title: 'Look here', facts: prepared })
  fixture.add(session)
  await open('/environments/new')
  const name = page.getByLabel('Name', { exact: true })
  await name.fill('Tools')
  await page.getByLabel('Variables', { exact: true }).fill('TOKEN=hidden-1')
  const elsewhere = async () => {
    await page.locator(`[data-session-row="${session.id}"]`).click()
    await page.getByRole('region', { name: 'Task' }).waitFor()
  }
  await elsewhere()
  await page.goBack()
  expect(await name.inputValue()).toBe('Tools')
  const variables = page.getByLabel('Variables', { exact: true })
  expect(await variables.inputValue()).toBe('TOKEN=hidden-1')
  await page.getByRole('link', { name: 'Environments' }).first().click()
  await button('Add a credential').click()
  await page.getByLabel('Host', { exact: true }).fill('git.example.com')
  await page.getByLabel('Value').fill('hidden-2')
  const lists = page.getByRole('region', { name: 'Network of every session' })
  await lists.getByRole('button', { name: 'Change it' }).click()
  await lists.getByLabel('Hosts that are refused').fill('paste.example')
  await elsewhere()
  await page.goBack()
  await expect.poll(() => page.getByLabel('Value').inputValue()).toBe('hidden-2')
  expect(await page.getByLabel('Host', { exact: true }).inputValue()).toBe('git.example.com')
  expect(await lists.getByLabel('Hosts that are refused').inputValue()).toBe('paste.example')
  const storage = 'JSON.stringify([{ ...sessionStorage }, { ...localStorage }])'
  expect(await page.evaluate(storage)).toContain('git.example.com')
  expect(await page.evaluate(storage)).not.toContain('hidden')
  await page.reload()
  expect(await page.getByLabel('Host', { exact: true }).inputValue()).toBe('git.example.com')
  expect(await page.getByLabel('Value').inputValue()).toBe('')
  await button('Cancel').click()
  await button('Add a credential').click()
  expect(await page.getByLabel('Host', { exact: true }).inputValue()).toBe('')
  await page.goto(`${fixture.url}/environments/new`)
  expect(await name.inputValue()).toBe('Tools')
  await button('Start over').click()
  expect(await name.inputValue()).toBe('')
})

it('makes one and copies one', async () => {
  await open('/environments')
  await page.getByRole('link', { name: 'New environment' }).click()
  await button('Make it').click()
  await page.getByText('Give it a name.').waitFor()
  // The button is far below it.
  const name = page.getByLabel('Name', { exact: true })
  await expect.poll(() => name.evaluate((one) => one.matches(':focus'))).toBe(true)
  await page.getByLabel('Name', { exact: true }).fill('Tools')
  await button('Make it').click()
  await page.getByRole('link', { name: /^Tools/ }).waitFor()
  expect(bodyOf('POST', '/environments')).toMatchObject({ name: 'Tools', image: { kind: 'host' } })
  await menu('Shop', 'Duplicate')
  await page.getByRole('heading', { name: 'Shop copy' }).waitFor()
})

it('starts a task with what its repository starts with', async () => {
  await open('/')
  const environment = page.getByLabel('Environment')
  await page.getByText('Default (Default)').waitFor({ state: 'attached' })
  await page.keyboard.press('Tab')
  await page.locator('[data-repository]').fill('https://git.example.com/shop/cart')
  await page.getByText('Default (Shop)').waitFor({ state: 'attached' })
  expect(await environment.inputValue()).toBe('')
})

const hook = (letter: string, name: string, end?: object): EventBody[] => [
  { type: 'hook.started', turnId: null, hookId: letter, event: 'SessionStart', name },
  ...(end ? [{ type: 'hook.ended', turnId: null, hookId: letter, ...end } as EventBody] : []),
]

it.each([false, true])(
  'shows hooks, what was not followed, and what to allow (phone: %s)',
  async (isPhone) => {
    const network = {
      level: 'custom' as const,
      domains: ['api.shop.example'],
      includeTrusted: false,
    }
    const session = createSession({
      letter: 'h',
      title: 'With hooks',
      facts: [
        {
          ...{
            type: 'environment.read',
            image: null,
            variables: {},
            setup: '',
            setupInputs: [],
            network,
          },
          notices: ['.errand/environment.yaml, line 7: secrets: there is no such key'],
        },
        ...prepared,
        ...hook('1', 'SessionStart:startup', {
          ...{ outcome: 'success', exitCode: 0, durationMs: 2100, output: 'installed 42 packages' },
        }),
        ...hook('2', 'SessionStart:startup', {
          ...{ outcome: 'error', exitCode: 3, durationMs: 30, output: 'no such script' },
        }),
        ...hook('3', 'SessionStart:startup'),
      ],
    })
    fixture.add(session)
    await open(`/sessions/${session.id}`, isPhone)
    await page.getByText('The repository asks to reach api.shop.example.').waitFor()
    await button(/Hook.*2.1 s/).click()
    await page.getByText('installed 42 packages').waitFor()
    await page.getByText('there is no such key').waitFor()
    await picture(`hooks-${isPhone ? 'phone' : 'desk'}`)
    await button('Allow for this session').click()
    await page.getByText('Allowed for this session: api.shop.example').waitFor()
    expect(bodyOf('POST', `/sessions/${session.id}/allow`)).toEqual({ scope: 'session' })
  },
)
