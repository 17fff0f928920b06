// People and what they lend Errand: user, token, credential.
import type { Command } from 'commander'
import { AppError } from '../protocol/errors.ts'
import { addCommand, type Cli, type Printer } from './command.ts'
import { InterruptedError } from './deps.ts'
import { formatTable } from './format.ts'
import { plainLine } from './plain-text.ts'

export function addAccountCommands(cli: Cli, program: Command): void {
  addLogin(cli, program)
  addUserCommands(cli, program.command('user').description('people who may use this installation'))
  addTokenCommands(cli, program.command('token').description('bearer tokens of yours'))
  addCredentialCommands(cli, program.command('credential').description('access to git hosts'))
}

function addLogin(cli: Cli, program: Command): void {
  addCommand(
    cli,
    program,
    { specification: 'login', description: 'print a one-time link to the page for yourself' },
    async (_, { connection, print }) => {
      const { id } = await connection.client.getMe()
      const link = await connection.client.createLoginLink(id)
      print.json(link)
      print.line(link.url)
    },
  )
}

function addUserCommands(cli: Cli, parent: Command): void {
  addCommand<{ email?: string }>(
    cli,
    parent,
    { specification: 'add <name>', description: 'add a user and print a one-time login link' },
    async ([name = ''], { connection, print, options }) => {
      const added = await connection.client.addUser({
        name,
        email: options.email ?? madeUpAddress(name),
      })
      print.json(added)
      print.line(
        `${plainLine(added.user.name)} signs in once with this link, until ${added.loginLink.expiresAt}:`,
      )
      print.line(added.loginLink.url)
    },
  ).option(
    '--email <address>',
    'tells users apart; nothing is sent to it; made from the name when absent',
  )
  addCommand(
    cli,
    parent,
    { specification: 'list', description: 'list users' },
    async (_, running) => {
      const users = await running.connection.client.listUsers()
      const rows = users.map(({ name, email, role }) => [name, email, role])
      printTable(running.print, users, { header: ['name', 'email', 'role'], rows })
    },
  )
  addCommand(
    cli,
    parent,
    { specification: 'link <email>', description: 'print a new one-time login link for a user' },
    async ([email], { connection, print }) => {
      const users = await connection.client.listUsers()
      const user = users.find((one) => one.email === email?.toLowerCase())
      if (!user)
        throw new AppError('not_found', 'user_not_found', 'there is no user with this address')
      const link = await connection.client.createLoginLink(user.id)
      print.json(link)
      print.line(link.url)
    },
  )
}

/** Accounts are told apart by address; a name alone is enough to begin with. */
function madeUpAddress(name: string): string {
  return `${
    name
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-|-$/g, '') || 'user'
  }@errand.local`
}

function addTokenCommands(cli: Cli, parent: Command): void {
  addCommand(
    cli,
    parent,
    { specification: 'add <name>', description: 'make a token; it is shown once' },
    async ([name = ''], { connection, print }) => {
      const token = await connection.client.createToken(name)
      print.json(token)
      print.line(token.secret)
    },
  )
  addCommand(
    cli,
    parent,
    { specification: 'list', description: 'list tokens' },
    async (_, running) => {
      const tokens = await running.connection.client.listTokens()
      const rows = tokens.map(({ id, name, start, lastUsedAt }) => [
        id,
        name,
        start,
        lastUsedAt ?? 'never',
      ])
      printTable(running.print, tokens, {
        header: ['id', 'name', 'begins with', 'last used'],
        rows,
      })
    },
  )
  addCommand(
    cli,
    parent,
    { specification: 'rm <id>', description: 'revoke a token' },
    async ([id = ''], { connection, print }) => {
      await connection.client.removeToken(id)
      print.json({ id, removed: true })
      print.line('revoked')
    },
  )
}

function addCredentialCommands(cli: Cli, parent: Command): void {
  addCommand<{ username: string; kind: string }>(
    cli,
    parent,
    {
      specification: 'add <host>',
      description:
        'keep a token, password or private key; it is asked for or read from standard input',
    },
    async ([host = ''], { connection, print, options }) => {
      const kind = options.kind === 'ssh' ? 'ssh' : 'https'
      const secret = await readSecret(cli)
      const { username } = options
      const credential = await connection.client.createCredential({ host, kind, username, secret })
      print.json(credential)
      print.line(`${credential.id} is kept for ${plainLine(credential.host)}`)
    },
  )
    .option('--username <name>', 'name that goes with it', '')
    .option('--kind <kind>', 'https or ssh', 'https')
  addCommand(
    cli,
    parent,
    { specification: 'list', description: 'list credentials' },
    async (_, running) => {
      const credentials = await running.connection.client.listCredentials()
      const rows = credentials.map(({ id, host, kind, username }) => [id, host, kind, username])
      printTable(running.print, credentials, { header: ['id', 'host', 'kind', 'username'], rows })
    },
  )
  addCommand(
    cli,
    parent,
    { specification: 'rm <id>', description: 'forget a credential' },
    async ([id = ''], { connection, print }) => {
      await connection.client.removeCredential(id)
      print.json({ id, removed: true })
      print.line('forgotten')
    },
  )
}

/** Never from the arguments, which every user of the machine can read. */
async function readSecret({ deps }: Cli): Promise<string> {
  const asked = new AbortController()
  const options = {
    signal: asked.signal,
    onInterrupt: () => asked.abort(new InterruptedError()),
    isHidden: true,
  }
  const text = deps.prompt ? await deps.prompt('secret > ', options) : await deps.readStdin()
  // The newline belongs to a private key.
  const secret = text.includes('PRIVATE KEY') ? `${text.trim()}\n` : text.trim()
  if (secret !== '') return secret
  throw new AppError('invalid', 'secret_missing', 'no secret came from standard input')
}

function printTable(
  print: Printer,
  value: unknown,
  { header, rows }: { header: string[]; rows: string[][] },
): void {
  print.json(value)
  print.line(rows.length === 0 ? 'There are none.' : formatTable(header, rows).trimEnd())
}
