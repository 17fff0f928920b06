// Who may come in: users, one-time links, browser sessions and bearer tokens, on the core of better-auth.
// Its own HTTP endpoints are not mounted: nothing signs up, and what is not called here cannot be reached.
import { createHash, randomBytes } from 'node:crypto'
import { apiKey } from '@better-auth/api-key'
import { betterAuth } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'
import { magicLink } from 'better-auth/plugins/magic-link'
import type { Pool } from 'pg'
import type { LoginLink, Token, TokenCreated, User } from '../../protocol/api.ts'
import { AppError } from '../../protocol/errors.ts'

const LOGIN_LINK_SECONDS = 15 * 60
const SESSION_SECONDS = 30 * 24 * 3600
/** So long may a browser session that was ended elsewhere still be believed without asking the database. */
const COOKIE_CACHE_SECONDS = 60
const TOKEN_PREFIX = 'errand_'
/** The time of last use is written at most this often, so that reading a token costs no write. */
const LAST_USED_STEP_MS = 60_000
/** Any number that is only Errand's: two servers that start together migrate one after the other. */
const MIGRATION_LOCK = 7_201_180

export interface AccountsOptions {
  pool: Pool
  /** Where people reach the page; links begin with it. */
  publicUrl: string
  /** At least 32 random characters that stay the same; signs the cookies. */
  secret: string
  clock?: () => Date
}

export interface Accounts {
  /** The first user, made when there is none. */
  ensureOwner(): Promise<User>
  addUser(fields: { name: string; email: string; role: User['role'] }): Promise<User>
  getUser(userId: string): Promise<User | undefined>
  listUsers(): Promise<User[]>
  createLoginLink(userId: string): Promise<LoginLink>
  /** Spends a link's token. Undefined when it is unknown, spent or too old. */
  login(token: string): Promise<{ cookies: string[] } | undefined>
  logout(headers: Headers): Promise<{ cookies: string[] }>
  /** The user of a browser session; `cookies` renew it. */
  userOfCookie(headers: Headers): Promise<{ user: User; cookies: string[] } | undefined>
  createToken(userId: string, name: string): Promise<TokenCreated>
  listTokens(userId: string): Promise<Token[]>
  removeToken(userId: string, tokenId: string): Promise<boolean>
  userOfToken(secret: string): Promise<User | undefined>
}

/** Brings the tables up to date, then answers. */
export async function createAccounts(options: AccountsOptions): Promise<Accounts> {
  const auth = createAuth(options)
  await migrate(options.pool, auth.options)
  const clock = options.clock ?? (() => new Date())
  const people = createPeople(auth)
  return {
    ...people,
    ...createLogin(auth, { people, publicUrl: options.publicUrl, clock }),
    ...createTokens(auth, { people, clock }),
  }
}

type Deliver = (token: string) => void

function createAuth({ pool, publicUrl, secret }: AccountsOptions) {
  const url = new URL(publicUrl)
  return betterAuth({
    appName: 'Errand',
    baseURL: url.origin,
    basePath: '/api/v1/auth',
    secret,
    database: pool,
    telemetry: { enabled: false },
    logger: { disabled: true },
    rateLimit: { enabled: false },
    emailAndPassword: { enabled: false },
    user: {
      modelName: 'auth_users',
      additionalFields: {
        role: { type: 'string', required: true, defaultValue: 'member', input: false },
      },
    },
    session: {
      modelName: 'auth_sessions',
      expiresIn: SESSION_SECONDS,
      cookieCache: { enabled: true, maxAge: COOKIE_CACHE_SECONDS },
    },
    account: { modelName: 'auth_accounts' },
    verification: { modelName: 'auth_verifications' },
    advanced: {
      // Cookies do not tell ports apart: two installations on one machine must not share a name.
      cookiePrefix: `errand-${url.port || 'default'}`,
      useSecureCookies: url.protocol === 'https:',
      defaultCookieAttributes: { httpOnly: true, sameSite: 'lax', path: '/' },
    },
    plugins: [
      magicLink({
        storeToken: 'hashed',
        disableSignUp: true,
        expiresIn: LOGIN_LINK_SECONDS,
        sendMagicLink: ({ token, metadata = {} }) => (metadata.deliver as Deliver)(token),
      }),
      apiKey({
        defaultPrefix: TOKEN_PREFIX,
        rateLimit: { enabled: false },
        startingCharactersConfig: { shouldStore: true, charactersLength: TOKEN_PREFIX.length + 4 },
        schema: { apikey: { modelName: 'auth_tokens' } },
      }),
    ],
  })
}

type Auth = ReturnType<typeof createAuth>

async function migrate(pool: Pool, options: Auth['options']): Promise<void> {
  const lock = await pool.connect()
  try {
    await lock.query('select pg_advisory_lock($1)', [MIGRATION_LOCK])
    const { runMigrations } = await getMigrations(options)
    await runMigrations()
    await lock.query('select pg_advisory_unlock($1)', [MIGRATION_LOCK])
  } finally {
    lock.release()
  }
}

type People = Pick<Accounts, 'ensureOwner' | 'addUser' | 'getUser' | 'listUsers'>

function createPeople(auth: Auth): People {
  const internals = async () => (await auth.$context).internalAdapter
  const addUser: People['addUser'] = async ({ name, email, role }) => {
    const adapter = await internals()
    const fields = { name, email: email.toLowerCase(), emailVerified: true, role }
    if (await adapter.findUserByEmail(fields.email)) throw emailTaken(fields.email)
    try {
      return toUser(await adapter.createUser(fields, { method: 'magic-link' }))
    } catch (error) {
      if (await adapter.findUserByEmail(fields.email)) throw emailTaken(fields.email)
      throw error
    }
  }
  const listUsers = async () => {
    const users = await (await internals()).listUsers(1000, 0, {
      field: 'createdAt',
      direction: 'asc',
    })
    return users.map(toUser)
  }
  return {
    addUser,
    listUsers,
    getUser: async (userId) => {
      const user = await (await internals()).findUserById(userId)
      return user ? toUser(user) : undefined
    },
    ensureOwner: async () => {
      const owner = (await listUsers()).find((user) => user.role === 'owner')
      return owner ?? addUser({ name: 'Owner', email: 'owner@errand.local', role: 'owner' })
    },
  }
}

function emailTaken(email: string): AppError {
  return new AppError(
    'conflict',
    'email_taken',
    `there is a user with the address ${email} already`,
  )
}

interface LoginParts {
  people: People
  publicUrl: string
  clock: () => Date
}

function createLogin(
  auth: Auth,
  { people, publicUrl, clock }: LoginParts,
): Pick<Accounts, 'createLoginLink' | 'login' | 'logout' | 'userOfCookie'> {
  return {
    createLoginLink: async (userId) => {
      const user = await people.getUser(userId)
      if (!user) throw new AppError('not_found', 'user_not_found', 'there is no such user')
      let token = ''
      const deliver: Deliver = (made) => {
        token = made
      }
      const expiresAt = new Date(clock().getTime() + LOGIN_LINK_SECONDS * 1000).toISOString()
      const body = { email: user.email, metadata: { deliver } }
      await auth.api.signInMagicLink({ body, headers: new Headers() })
      return { url: new URL(`/login?token=${token}`, publicUrl).href, expiresAt }
    },
    login: async (token) => {
      const response = await auth.api.magicLinkVerify({
        query: { token },
        headers: new Headers(),
        asResponse: true,
      })
      return response.status === 200 ? { cookies: response.headers.getSetCookie() } : undefined
    },
    logout: async (headers) => {
      const response = await auth.api.signOut({ headers, asResponse: true })
      return { cookies: response.headers.getSetCookie() }
    },
    userOfCookie: async (headers) => {
      const found = await auth.api.getSession({ headers, returnHeaders: true })
      if (!found.response) return undefined
      return { user: toUser(found.response.user), cookies: found.headers?.getSetCookie() ?? [] }
    },
  }
}

interface TokenRow {
  id: string
  name: string | null
  start: string | null
  referenceId: string
  enabled: boolean
  createdAt: Date
  expiresAt: Date | null
  lastRequest: Date | null
}

/**
 * The plugin makes tokens and keeps their table. They are read here and not by its `verifyApiKey`, which writes a row at
 * each request and calls a database that is down an invalid key.
 */
function createTokens(
  auth: Auth,
  { people, clock }: { people: People; clock: () => Date },
): Pick<Accounts, 'createToken' | 'listTokens' | 'removeToken' | 'userOfToken'> {
  const table = async () => (await auth.$context).adapter
  const model = 'apikey'
  return {
    createToken: async (userId, name) => {
      const made = await auth.api.createApiKey({ body: { userId, name } })
      return { ...toToken(made as unknown as TokenRow), secret: made.key }
    },
    listTokens: async (userId) => {
      const where = [{ field: 'referenceId', value: userId }]
      return (await (await table()).findMany<TokenRow>({ model, where })).map(toToken)
    },
    removeToken: async (userId, tokenId) => {
      const where = [
        { field: 'id', value: tokenId },
        { field: 'referenceId', value: userId },
      ]
      return (await (await table()).deleteMany({ model, where })) > 0
    },
    userOfToken: async (secret) => {
      if (!secret.startsWith(TOKEN_PREFIX) || secret.length > 200) return undefined
      const adapter = await table()
      const where = [{ field: 'key', value: hashToken(secret) }]
      const row = await adapter.findOne<TokenRow>({ model, where })
      const now = clock()
      if (!row?.enabled || (row.expiresAt && new Date(row.expiresAt) <= now)) return undefined
      const lastUsed = row.lastRequest ? new Date(row.lastRequest).getTime() : 0
      if (now.getTime() - lastUsed > LAST_USED_STEP_MS) {
        const byId = [{ field: 'id', value: row.id }]
        await adapter.update({ model, where: byId, update: { lastRequest: now } })
      }
      return people.getUser(row.referenceId)
    },
  }
}

/** As the plugin stores it. */
function hashToken(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url')
}

function toToken(row: TokenRow): Token {
  return {
    id: row.id,
    name: row.name ?? '',
    start: row.start ?? '',
    createdAt: new Date(row.createdAt).toISOString(),
    lastUsedAt: row.lastRequest ? new Date(row.lastRequest).toISOString() : null,
  }
}

function toUser(row: { id: string; name: string; email: string; role?: unknown }): User {
  const { id, name, email } = row
  return { id, name, email, role: row.role === 'owner' ? 'owner' : 'member' }
}

/** For a data folder that has none yet. */
export function createAuthSecret(): string {
  return randomBytes(32).toString('base64url')
}
