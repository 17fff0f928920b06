// Access that the owner keeps for git hosts and APIs, as the API takes and shows it.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type Caller,
  call,
  errorOf,
  type OwnersApp,
  openOwnersApp,
  type TestApp,
} from '../app.fixture.ts'

let site: OwnersApp
let test: TestApp
let owner: Caller

beforeAll(async () => {
  site = await openOwnersApp()
  ;({ test, owner } = site)
})
afterAll(() => site.close())

const post: OwnersApp['post'] = (path, body) => site.post(path, body)

describe('credentials', () => {
  it('never shows a secret again', async () => {
    const secret = 'hunter2hunter2'
    const made = await post('/api/v1/credentials', { host: 'git.example.com', secret })
    expect(await made.text()).not.toContain(secret)
    const list = await call(test, '/api/v1/credentials', { as: owner })
    expect(await list.text()).not.toContain(secret)
  })

  it.each([
    ['a path without a start', { host: 'a.example', binding: { paths: ['v1'] } }],
    ['dots in a path', { host: 'a.example', binding: { paths: ['/v1/../'] } }],
    ['every host', { host: '*.example' }],
    ['a kind that needs a header', { host: 'a.example', kind: 'header' }],
    ['the header of the host', { host: 'a.example', kind: 'header', binding: { header: 'Host' } }],
    ['a line end in the secret', { host: 'a.example', secret: 'x\r\nEvil: 1' }],
    ['a variable of the transport', { host: 'a.example', binding: { variable: 'HTTPS_PROXY' } }],
    ['a binding of a git credential', { host: 'a.example', kind: 'https', binding: {} }],
  ])('refuses an API credential with %s', async (_, fields) => {
    const body = { kind: 'bearer', secret: 'hunter2hunter2', ...fields }
    expect((await post('/api/v1/credentials', body)).status).toBe(400)
  })

  it('keeps an API credential for one environment, which has to be there', async () => {
    const fields = { host: 'API.example.com', kind: 'bearer', secret: 'hunter2hunter2' }
    const nowhere = { environmentId: `e_${'b'.repeat(20)}` }
    const refused = await post('/api/v1/credentials', { ...fields, binding: nowhere })
    expect(await errorOf(refused)).toMatchObject({ reason: 'environment_not_found' })
    const { id } = (await (await post('/api/v1/environments', { name: 'bound' })).json()) as {
      id: string
    }
    const made = await post('/api/v1/credentials', { ...fields, binding: { environmentId: id } })
    expect(await made.json()).toMatchObject({
      host: 'api.example.com',
      binding: { environmentId: id, paths: [], allowHttp: false },
    })
  })
})
