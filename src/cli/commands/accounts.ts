// People and how they sign in: login, user, token.
import type { Command } from 'commander'
import { AppError } from '../../protocol/errors.ts'
import { addCommand, type Cli, type Printer } from '../command.ts'
import { formatTable } from '../terminal/format.ts'
import { plainLine } from '../terminal/plain-text.ts'

export function addAccountCommands(cli: Cli, program: Command): void {
  addLogin(cli, program)
  addUserCommands(cli, program.command('user').description('people who may use this installation'))
  addTokenCommands(cli, program.command('token').description('bearer tokens of yours'))
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

export function printTable(
  print: Printer,
  value: unknown,
  { header, rows }: { header: string[]; rows: string[][] },
): void {
  print.json(value)
  print.line(rows.length === 0 ? 'There are none.' : formatTable(header, rows).trimEnd())
}
