// Judges Errand itself on this machine, and what it reaches outside. Pure.
import { shellWord } from '../lib/shell-quote.ts'
import { type Check, checksOf, type ErrandFacts, formatBytes, type OutsideFacts } from './checks.ts'

const LEAST_BYTES = 512 * 2 ** 20
const FEW_BYTES = 5 * 2 ** 30
const LEAST_INODES = 1_000
const FEW_INODES = 100_000

const { fine, warn, bad } = checksOf('errand')

export function judgeErrand(facts: ErrandFacts): Check[] {
  return [
    judgePackages(facts),
    judgeCode(facts),
    judgeVariables(facts),
    judgeDataFolder(facts),
    judgeSpace(facts),
    judgeSockets(facts),
    judgeDatabase(facts),
    judgePort(facts),
    judgeInstance(facts),
  ]
}

export function judgeOutside({ model, registries, certificates }: OutsideFacts): Check[] {
  return [
    judgeKey(model),
    judgeEndpoint(model),
    judgeRegistries(registries),
    judgeCertificates(certificates),
  ]
}

function judgePackages({ npmInstalled, built, agentThere }: ErrandFacts): Check {
  const missing = [
    ...(npmInstalled ? [] : ['npm packages']),
    ...(agentThere ? [] : ['Claude Code']),
    ...(built ? [] : ['the built page and runner']),
  ]
  const why = 'what ./errand up installs and builds'
  if (missing.length === 0) return fine('packages', 'installed and built', why)
  return warn('packages', `missing: ${missing.join(', ')}`, { why, fix: './errand up' })
}

function judgeCode({ isRoot, codeDir, codeReadableByOthers }: ErrandFacts): Check {
  const why = 'programs of Errand run as users of their own'
  if (!isRoot) return fine('code', codeDir, 'runs as this user')
  if (codeReadableByOthers) return fine('code', codeDir, why)
  return bad('code', 'closed to other users', { why, fix: `chmod -R go+rX ${shellWord(codeDir)}` })
}

function judgeVariables({ unknownVariables }: ErrandFacts): Check {
  const why = 'settings of this shell'
  if (unknownVariables.length === 0) return fine('variables', 'all known', why)
  return warn('variables', `unknown: ${unknownVariables.join(', ')}`, {
    why: 'They are not settings of Errand, and nothing follows from them.',
    fix: 'Correct their names; README.md lists those that count.',
  })
}

function judgeDataFolder({ isRoot, dataDir }: ErrandFacts): Check {
  const { path, exists, isWritable, othersMayEnter, refusal } = dataDir
  const why = 'where everything is kept'
  if (refusal !== null) return bad('data folder', `${path} cannot be used`, { why, fix: refusal })
  if (!isWritable)
    return bad('data folder', `${path} cannot be written`, {
      why,
      fix: 'Name another folder with --data or ERRAND_DATA.',
    })
  if (exists && isRoot && !othersMayEnter)
    return warn('data folder', `${path} is closed to Errand's own users`, {
      why,
      fix: 'errand up opens it',
    })
  return fine('data folder', exists ? path : `${path} (will be made)`, why)
}

function judgeSpace({ dataDir: { path, freeBytes, freeInodes } }: ErrandFacts): Check {
  const inodes = freeInodes === null ? '' : `, ${freeInodes} files`
  const found = `${formatBytes(freeBytes)}${inodes} free`
  const tooFew = freeInodes !== null && freeInodes < LEAST_INODES
  const fix = `Make room on the disk of ${path}.`
  if (freeBytes < LEAST_BYTES || tooFew)
    return bad('disk', found, { why: 'No sandbox can be made with so little.', fix })
  if (freeBytes < FEW_BYTES || (freeInodes !== null && freeInodes < FEW_INODES))
    return warn('disk', found, { why: 'Repositories and builds may fill it soon.', fix })
  return fine('disk', found, 'repositories, sandboxes and the database')
}

function judgeSockets({ socketPathError }: ErrandFacts): Check {
  const why = 'the path of a unix socket has at most 107 bytes'
  if (socketPathError === null) return fine('socket paths', 'short enough', why)
  return bad('socket paths', 'too long', { why, fix: socketPathError })
}

function judgeDatabase({ database: { kind, version, error } }: ErrandFacts): Check {
  if (kind === 'url') {
    const why = 'the database that DATABASE_URL names'
    if (error === null) return fine('database', `PostgreSQL ${version} answers`, why)
    return bad('database', error, { why, fix: 'Start it, or correct DATABASE_URL, or unset it.' })
  }
  const why = 'the PostgreSQL that Errand brings with it'
  if (error === null) return fine('database', `${version}, embedded`, why)
  const fix = 'npm ci in the folder of Errand, or set DATABASE_URL to a PostgreSQL of yours'
  return bad('database', error, { why, fix })
}

function judgePort({ port: { host, port, state } }: ErrandFacts): Check {
  const found = `${host}:${port}`
  const why = 'where page and API are'
  switch (state) {
    case 'free':
      return fine('port', `${found} is free`, why)
    case 'errand':
      return fine('port', `${found} is Errand's own`, why)
    case 'taken':
      return warn('port', `${found} is taken by another program`, {
        why,
        fix: 'errand up --port 0 takes a free one',
      })
    case 'elsewhere':
      return warn('port', `${host} is not an address of this machine`, {
        why,
        fix: 'Name one with --host or ERRAND_HOST, or unset it.',
      })
    case 'forbidden':
      return warn('port', `${found} is not for this user`, {
        why,
        fix: 'Name a port from 1024 on with --port or ERRAND_PORT.',
      })
  }
}

function judgeInstance({ instance, version }: ErrandFacts): Check {
  const name = 'running'
  if (instance.state === 'none') return fine(name, 'no', 'errand up starts it')
  if (instance.state === 'foreign')
    return warn(name, 'as another user', {
      why: 'It cannot be looked at from here.',
      fix: 'Run errand doctor as that user.',
    })
  const { silent, url } = instance
  if (silent.length > 0)
    return bad(name, `${url}, but without an answer: ${silent.join(', ')}`, {
      why: 'Every program of Errand has to answer.',
      fix: 'errand down, then errand up; its log says more.',
    })
  if (instance.version !== version)
    return warn(name, `${url}, version ${instance.version}`, {
      why: `The code here is ${version}.`,
      fix: 'errand down, then errand up',
    })
  return fine(name, `${url}, all programs answer`, 'an installation on this data folder')
}

const outside = checksOf('outside')

function judgeKey({ refusal, isScripted }: OutsideFacts['model']): Check {
  const why = 'what agents think with'
  if (isScripted) return outside.fine('model key', 'a scripted model plays a scenario', why)
  if (refusal === null) return outside.fine('model key', 'set', why)
  return outside.warn('model key', refusal, {
    why: 'Sessions fail at their first model request; errand demo needs none.',
    fix: 'Set what is missing and start errand up again.',
  })
}

function judgeEndpoint({ host, error }: OutsideFacts['model']): Check {
  const why = 'where model requests go'
  if (error === null) return outside.fine('model endpoint', `${host} answers`, why)
  return outside.warn('model endpoint', `${host}: ${error}`, {
    why,
    fix: 'Check network, proxy and ANTHROPIC_BASE_URL.',
  })
}

function judgeRegistries(registries: OutsideFacts['registries']): Check {
  const name = 'package registries'
  const why = 'that npm, pip and apt of this machine use; sandboxes may reach them'
  if ('error' in registries)
    return outside.warn(name, registries.error, {
      why,
      fix: 'Look at the settings of npm, pip and apt.',
    })
  const { count, warnings } = registries
  if (warnings.length === 0) return outside.fine(name, `${count} found`, why)
  return outside.warn(name, `${count} found; ${warnings.join('; ')}`, {
    why,
    fix: 'Look at the settings of npm, pip and apt.',
  })
}

function judgeCertificates(certificates: OutsideFacts['certificates']): Check {
  const name = 'extra certificates'
  const why = 'authorities that the variables of this shell name'
  const broken = certificates.filter(({ error }) => error !== null)
  if (broken.length === 0)
    return outside.fine(
      name,
      certificates.length === 0 ? 'none named' : `${certificates.length} readable`,
      why,
    )
  const found = broken.map(({ path, error }) => `${path}: ${error}`).join('; ')
  return outside.warn(name, found, {
    why,
    fix: 'Correct SSL_CERT_FILE, NODE_EXTRA_CA_CERTS and the like.',
  })
}
