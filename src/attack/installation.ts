// Runs the attacks that need nothing prepared against an installation of this machine's own making: real programs, a real
// sandbox, a data folder that is taken away again. Every control is in place; nothing that it tries does harm when one fails.
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createSampleRepository } from '../../demo/repository.ts'
import { loadScenarios } from '../../demo/scenario.ts'
import { createScriptedModel } from '../../demo/scripted-model.ts'
import type { Cli } from '../cli/command.ts'
import type { Connection } from '../cli/deps.ts'
import { inspectRepository, pushCommit } from '../cli/repositories/repository.ts'
import { type Config, scriptedModel } from '../config.ts'
import { connectTo, startInBackground } from '../installation/connect.ts'
import { layoutOf } from '../installation/ground.ts'
import { shortLivedConfig, takeDown } from '../installation/short-lived.ts'
import { AppError } from '../protocol/errors.ts'
import type { SessionState } from '../protocol/session.ts'
import { ATTACK_CASES } from './all-cases.ts'
import { type AttackCase, judge, type Targets, type Verdict } from './attack-case.ts'

export interface AttackResult {
  id: string
  title: string
  result: Verdict['kind']
  /** How it was refused, what worked, or why it was not tried. */
  detail: string
}

const TURN_LIMIT_MS = 600_000
/** Of one attack. */
const ATTACK_LIMIT_S = 60
/** A command is one argument of a program, which Linux holds to 128 KiB. */
const MOST_COMMAND_CHARS = 90_000
const MARK = '@@ attack '
/** Longer than the gateway waits for the head of a request. */
const SLOW_MS = 45_000
const DENIED_HOST = 'denied.errand-attack.invalid'
const LISTED_HOST = 'listed.errand-attack.invalid'
const FORBIDDEN = {
  metadata: '169.254.169.254',
  metadata6: 'fd00:ec2::254',
  private10: '10.0.0.1',
  private192: '192.168.0.1',
}
/** On none of the lists but with these hosts. */
const PORT = 8099
const NOBODY = { cookie: '', bearer: '' }
const NO_API = {
  ...{ socket: '', host: '', origin: '', operations: [], owner: NOBODY, member: NOBODY },
  again: { operations: [], owner: NOBODY },
}
const NETWORK = {
  level: 'custom' as const,
  domains: [FORBIDDEN.metadata, FORBIDDEN.private10, FORBIDDEN.private192, '127.0.0.1']
    .map((address) => `${address}:${PORT}`)
    .concat(LISTED_HOST, `allowed.${LISTED_HOST}:${PORT}`),
}

/** Calls back with each result; resolves when everything is taken away. */
export async function attackInstallation(
  cli: Cli,
  folder: string,
  { signal, onResult }: { signal: AbortSignal; onResult: (result: AttackResult) => void },
): Promise<void> {
  const secret = `canary-${randomBytes(12).toString('hex')}`
  const model = await createScriptedModel({ scenarios: loadScenarios(), requireKey: secret })
  const scripted = scriptedModel(model.url)
  const variables = { ...scripted.variables, ANTHROPIC_API_KEY: secret }
  const config = { ...shortLivedConfig(folder), model: { ...scripted, variables } }
  const processMark = `mark-${randomBytes(12).toString('hex')}`
  const marked = spawn('bash', ['-c', `exec -a ${processMark} sleep 3600`], { stdio: 'ignore' })
  try {
    await startInBackground(config)
    const connection = await connectTo(config)
    const [session, other] = await startSessions(cli, connection, folder)
    const files = await placeSecret(folder, secret)
    const targets = targetsFor({ config, session, other, secret, processMark, ...files })
    for (const batch of batchesOf(ATTACK_CASES, targets))
      for (const result of await tryBatch(connection, session, { batch, signal })) onResult(result)
  } finally {
    await endChild(marked)
    await takeDown(config)
    await model.close()
  }
}

async function startSessions(
  cli: Cli,
  connection: Connection,
  folder: string,
): Promise<[SessionState, SessionState]> {
  const path = join(folder, 'cart')
  await createSampleRepository(path)
  const local = await inspectRepository(cli.git, path, undefined)
  const upload = await connection.client.createUpload({ name: local.name })
  const { root, commit, branch } = local
  await pushCommit(cli.git, connection, cli.deps.env, {
    ...{ root, commit, branch, gitPath: upload.gitPath },
  })
  const source = { kind: 'upload' as const, uploadId: upload.id }
  const start = (prompt: string) =>
    connection.client.createSession({ prompt, kind: 'command', source, network: NETWORK })
  // One after the other, since the second takes what the first has uploaded.
  const session = await start('true')
  await untilTurnEnds(connection, session.id, { afterSeq: 0, signal: new AbortController().signal })
  const again = { kind: 'session' as const, sessionId: session.id }
  const other = await connection.client.createSession({
    ...{ prompt: 'true', kind: 'command', source: again, network: NETWORK },
  })
  return [await connection.client.getSession(session.id), other]
}

async function placeSecret(folder: string, secret: string) {
  await chmod(folder, 0o711)
  const hostFile = join(folder, 'secret')
  await writeFile(hostFile, `${secret}\n`)
  await chmod(hostFile, 0o644)
  return { hostFile }
}

interface Placed {
  config: Config
  session: SessionState
  other: SessionState
  secret: string
  processMark: string
  hostFile: string
}

function targetsFor({ config, session, other, ...placed }: Placed): Targets {
  return {
    ...placed,
    sharedMemoryKey: 0,
    otherDoor: join(layoutOf(config).doors, other.id),
    otherSession: other.id,
    otherFile: { oid: '', size: 0 },
    forbidden: FORBIDDEN,
    publicAddress: '203.0.113.1',
    port: PORT,
    deniedHost: DENIED_HOST,
    allowedHost: `allowed.${LISTED_HOST}`,
    webHost: LISTED_HOST,
    rebindingHost: LISTED_HOST,
    listedButForbidden: NETWORK.domains.filter((domain) => /^\d/.test(domain)),
    branch: session.repository.branch,
    turn: '',
    placeholder: '',
    api: NO_API,
    // So few that they are all there before the first one has waited too long with its head.
    connections: 1_000,
    slowMs: SLOW_MS,
  }
}

interface Prepared {
  attack: AttackCase
  command: string
}

/** As few turns as there can be: each one costs more than the attacks in it. */
function batchesOf(attacks: readonly AttackCase[], targets: Targets): Prepared[][] {
  const batches: Prepared[][] = [[]]
  let size = 0
  for (const attack of attacks) {
    const command = attack.notOnInstallation === undefined ? commandFor(attack, targets) : ''
    if (size + command.length > MOST_COMMAND_CHARS) {
      batches.push([])
      size = 0
    }
    size += command.length
    batches.at(-1)?.push({ attack, command })
  }
  return batches
}

/** From a file, so that one that breaks off leaves the others alone. */
function commandFor(attack: AttackCase, targets: Targets): string {
  const file = `/tmp/attack-${attack.id}`
  return [
    `echo '${MARK}${attack.id}'`,
    `cat > ${file} <<'END_OF_SCRIPT'\n${attack.script(targets)}\nEND_OF_SCRIPT`,
    `timeout ${ATTACK_LIMIT_S} sh ${file} < /dev/null 2>&1`,
    `rm -f ${file}\n`,
  ].join('\n')
}

async function tryBatch(
  connection: Connection,
  { id: sessionId }: SessionState,
  { batch, signal }: { batch: Prepared[]; signal: AbortSignal },
): Promise<AttackResult[]> {
  const { client } = connection
  const { lastSeq } = await client.getSession(sessionId)
  const text = batch.map(({ command }) => command).join('')
  if (text !== '') await client.sendMessage(sessionId, { text, kind: 'command' })
  const printed =
    text === '' ? '' : await untilTurnEnds(connection, sessionId, { afterSeq: lastSeq, signal })
  const outputs = new Map(
    printed.split(MARK).map((part) => {
      const [id = '', ...lines] = part.split('\n')
      return [id.trim(), lines.join('\n')] as const
    }),
  )
  return batch.map(({ attack }) => resultOf(attack, outputs.get(attack.id) ?? ''))
}

function resultOf(attack: AttackCase, output: string): AttackResult {
  const { id, title, notOnInstallation } = attack
  if (notOnInstallation) return { id, title, result: 'not_tried', detail: notOnInstallation }
  const held = attack.heldOnInstallation ?? attack.held
  const { kind, detail } = judge({ ...attack, held }, output)
  return { id, title, result: kind, detail }
}

/** What the command has printed. */
async function untilTurnEnds(
  { client }: Connection,
  sessionId: string,
  { afterSeq, signal }: { afterSeq: number; signal: AbortSignal },
): Promise<string> {
  const either = AbortSignal.any([signal, AbortSignal.timeout(TURN_LIMIT_MS)])
  let output = ''
  for await (const item of client.followEvents(sessionId, { afterSeq, signal: either })) {
    if (item.kind !== 'event') continue
    const { body } = item.event
    if (body.type === 'command.output') output += body.text
    if (body.type === 'turn.completed') return output
    if (body.type === 'turn.failed' || body.type === 'session.failed')
      throw new AppError('internal', body.reason, body.message)
  }
  signal.throwIfAborted()
  throw new AppError('timeout', 'attack_timeout', 'An attack did not come to its end.')
}

async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}
