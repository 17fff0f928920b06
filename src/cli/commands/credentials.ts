// Credentials of yours: for git hosts, and for APIs to whose requests the gateway adds them. A secret is read from the
// terminal or standard input, never from the arguments, which every user of the machine can read.
import type { Command } from 'commander'
import type { Client } from '../../client/client.ts'
import {
  type CredentialKind,
  credentialKindSchema,
  describeCredential,
  isApiKind,
  type NewCredential,
} from '../../protocol/credential.ts'
import { AppError } from '../../protocol/errors.ts'
import { addCommand, type Cli } from '../command.ts'
import { InterruptedError } from '../deps.ts'
import { plainLine } from '../terminal/plain-text.ts'
import { printTable } from './accounts.ts'
import { findEnvironment } from './environments.ts'

interface AddOptions {
  kind: string
  username: string
  name?: string
  header?: string
  prefix?: string
  parameter?: string
  path?: string[]
  environment?: string
  variable?: string
  allowHttp?: boolean
}

export function addCredentialCommands(cli: Cli, program: Command): void {
  const parent = program
    .command('credential')
    .description('access to git hosts and APIs, kept outside of sandboxes')
  addAdding(cli, parent)
  addCommand(
    cli,
    parent,
    { specification: 'list', description: 'list credentials' },
    async (_, { connection: { client }, print }) => {
      const credentials = await client.listCredentials()
      const environments = await client.listEnvironments({ archived: true })
      const names = new Map(environments.map(({ id, name }) => [id, name]))
      const rows = credentials.map((one) => {
        const { id, host, binding } = one
        const hosts = [host, ...(binding?.otherHosts ?? [])].join(' ')
        const environmentId = binding?.environmentId ?? null
        const where = environmentId === null ? 'all' : (names.get(environmentId) ?? environmentId)
        return [id, hosts, describeCredential(one), where, binding?.variable ?? '']
      })
      const header = ['id', 'host', 'kind', 'environment', 'variable']
      printTable(print, credentials, { header, rows })
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

function addAdding(cli: Cli, parent: Command): void {
  const collect = (value: string, earlier: string[] = []) => [...earlier, value]
  addCommand<AddOptions>(
    cli,
    parent,
    {
      specification: 'add <host...>',
      description: 'keep a token, password or key; it is asked for or read from standard input',
    },
    async (hosts, { connection: { client }, print, options }) => {
      const kind = credentialKindSchema.safeParse(options.kind)
      if (!kind.success) {
        const known = credentialKindSchema.options.join(', ')
        throw new AppError('invalid', 'credential_kind_unknown', `a kind is one of ${known}`)
      }
      const fields = await readFields(client, hosts, { ...options, kind: kind.data })
      const credential = await client.createCredential({ ...fields, secret: await readSecret(cli) })
      print.json(credential)
      print.line(`${credential.id} is kept for ${plainLine(credential.host)}`)
    },
  )
    .option(
      '--kind <kind>',
      'https or ssh, for git; bearer, header, basic or query, for an API',
      'https',
    )
    .option('--username <name>', 'name that goes with it, of https, ssh and basic', '')
    .option('--name <text>', 'what people call it')
    .option('--header <name>', 'of kind header: which one')
    .option('--prefix <text>', 'of kind header: what stands before the secret')
    .option('--parameter <name>', 'of kind query: which one')
    .option('--path <prefix>', 'only for requests below it, such as /v1/; repeatable', collect)
    .option('--environment <name>', 'only for its sessions; name or id')
    .option('--variable <name>', 'set inside to a placeholder that the gateway replaces')
    .option('--allow-http', 'also over http://, where everybody on the way can read it')
}

async function readFields(
  client: Client,
  [host = '', ...otherHosts]: string[],
  options: AddOptions & { kind: CredentialKind },
): Promise<Omit<NewCredential, 'secret'>> {
  const { kind, username, environment, path: paths = [], ...rest } = options
  const isBound = [rest.header, rest.parameter, rest.variable, environment, rest.allowHttp].some(
    (value) => value !== undefined,
  )
  if (!isApiKind(kind)) {
    if (otherHosts.length === 0 && paths.length === 0 && !isBound) return { host, kind, username }
    const message = `a credential of kind ${kind} is for one git host; for an API, name another --kind`
    throw new AppError('invalid', 'credential_kind_mismatch', message)
  }
  const environmentId = environment && (await findEnvironment(client, environment)).id
  const { name, header, prefix, parameter, variable, allowHttp } = rest
  const given = { name, header, prefix, parameter, variable, allowHttp, environmentId }
  return { host, kind, username, binding: { ...given, otherHosts, paths } }
}

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
