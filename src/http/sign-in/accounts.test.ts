import type { Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestDatabase, type TestDatabase } from '../../store/postgres/database.fixture.ts'
import { type Accounts, createAccounts, createAuthSecret } from './accounts.ts'

let database: TestDatabase
let pool: Pool
let accounts: Accounts
const secret = createAuthSecret()
const publicUrl = 'http://127.0.0.1:8420'

beforeAll(async () => {
  database = await startTestDatabase()
  pool = (await database.openStore()).pool
  accounts = await createAccounts({ pool, publicUrl, secret })
})
afterAll(() => database.stop())

const tokenOf = (url: string) => new URL(url).searchParams.get('token') ?? ''
const cookieHeader = (cookies: string[]) =>
  new Headers({ cookie: cookies.map((cookie) => cookie.split(';')[0]).join('; ') })

describe('accounts', () => {
  it('makes the first owner once, also when the tables exist already', async () => {
    const owner = await accounts.ensureOwner()
    const again = await createAccounts({ pool, publicUrl, secret })
    expect(await again.ensureOwner()).toEqual(owner)
    expect(owner).toMatchObject({ name: 'Owner', role: 'owner' })
  })

  it('lets a one-time link in once and gives a cookie that scripts cannot read', async () => {
    const owner = await accounts.ensureOwner()
    const link = await accounts.createLoginLink(owner.id)
    expect(link.url).toMatch(/^http:\/\/127\.0\.0\.1:8420\/login\?token=/)
    const login = await accounts.login(tokenOf(link.url))
    const cookie = login?.cookies.find((line) => line.includes('session_token'))
    expect(cookie).toMatch(/^errand-8420\.session_token=/)
    expect(cookie).toMatch(/HttpOnly/i)
    expect(cookie).toMatch(/SameSite=Lax/i)
    const found = await accounts.userOfCookie(cookieHeader(login?.cookies ?? []))
    expect(found?.user).toEqual(owner)
    expect(await accounts.login(tokenOf(link.url))).toBeUndefined()
  })

  it('lets two uses of one link at once in once', async () => {
    const owner = await accounts.ensureOwner()
    const token = tokenOf((await accounts.createLoginLink(owner.id)).url)
    const logins = await Promise.all([1, 2, 3, 4].map(() => accounts.login(token)))
    expect(logins.filter((login) => login !== undefined)).toHaveLength(1)
  })

  it('refuses a link that is too old or made up', async () => {
    const owner = await accounts.ensureOwner()
    const token = tokenOf((await accounts.createLoginLink(owner.id)).url)
    await pool.query(`update auth_verifications set "expiresAt" = now() - interval '1 second'`)
    expect(await accounts.login(token)).toBeUndefined()
    expect(await accounts.login('made-up')).toBeUndefined()
  })

  it('stores neither link nor token as they are', async () => {
    const owner = await accounts.ensureOwner()
    const token = tokenOf((await accounts.createLoginLink(owner.id)).url)
    const { secret: bearer } = await accounts.createToken(owner.id, 'stored')
    const tables = ['auth_verifications', 'auth_tokens']
    const rows = await Promise.all(tables.map((table) => pool.query(`select * from ${table}`)))
    const stored = JSON.stringify(rows.map((result) => result.rows))
    expect(stored).not.toContain(token)
    expect(stored).not.toContain(bearer)
  })

  it('ends a browser session', async () => {
    const owner = await accounts.ensureOwner()
    const link = await accounts.createLoginLink(owner.id)
    const login = await accounts.login(tokenOf(link.url))
    const headers = cookieHeader(login?.cookies ?? [])
    await accounts.logout(headers)
    const sessionOnly = new Headers({
      cookie: headers.get('cookie')?.replace(/; *[^;]*session_data=[^;]*/, '') ?? '',
    })
    expect(await accounts.userOfCookie(sessionOnly)).toBeUndefined()
  })

  it('knows a bearer token until it is revoked, by its owner only', async () => {
    const owner = await accounts.ensureOwner()
    const other = await accounts.addUser({ name: 'O', email: 'o@example.com', role: 'member' })
    const token = await accounts.createToken(owner.id, 'laptop')
    expect(token).toMatchObject({ name: 'laptop', start: token.secret.slice(0, 11) })
    expect(await accounts.userOfToken(token.secret)).toEqual(owner)
    expect(await accounts.listTokens(other.id)).toEqual([])
    expect(await accounts.removeToken(other.id, token.id)).toBe(false)
    expect(await accounts.removeToken(owner.id, token.id)).toBe(true)
    expect(await accounts.userOfToken(token.secret)).toBeUndefined()
    expect(await accounts.userOfToken('errand_nothing')).toBeUndefined()
  })

  it('refuses a second user with the same address', async () => {
    await accounts.addUser({ name: 'A', email: 'Twice@example.com', role: 'member' })
    const again = accounts.addUser({ name: 'B', email: 'twice@example.com', role: 'member' })
    await expect(again).rejects.toMatchObject({ code: 'conflict', reason: 'email_taken' })
  })
})
