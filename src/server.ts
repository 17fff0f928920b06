// The API, the page and the worker, as a user of its own. It holds the database and the sealing key, and opens git
// credentials to prepare and forward; it has no model key. Killing it cuts no work: sandboxes talk to the gateway.
import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { z } from 'zod'
import { TRUSTED_GROUPS } from './egress/rules/trusted-domains.ts'
import { createDoorkeeperClient, followLive, type LiveDelta } from './gateway/control.ts'
import { createGitClient, type GitClient, parseGitRequest, proxyGit } from './git/client.ts'
import { createHttpApp } from './http/app.ts'
import type { GitDoor, UploadsApi } from './http/deps.ts'
import { listenHttp } from './http/listen.ts'
import { type Accounts, createAccounts, createAuthSecret } from './http/sign-in/accounts.ts'
import { createLiveFeed, type LiveFeedSource } from './http/streams/live.ts'
import { registriesOf } from './image/registries.ts'
import { hasCertainlyEnded, nameOwnProcess } from './lib/process-identity.ts'
import { createLayerSandboxes, createRepositoryPort, createSandboxPort } from './ports.ts'
import { type ProgramContext, runProgram } from './program-main.ts'
import { AppError } from './protocol/errors.ts'
import type { AgentStart } from './runner/agent/agent-start.ts'
import { createSandboxClient } from './sandbox/client.ts'
import type { SandboxDriver } from './sandbox/driver.ts'
import { createAdmission } from './sessions/admission.ts'
import { createClock } from './sessions/clock.ts'
import { createDispatch, type Dispatch } from './sessions/dispatch.ts'
import type { EffectPorts } from './sessions/effects.ts'
import { type CheckoutLayers, createCheckoutLayers } from './sessions/layers/checkout-layers.ts'
import { startLayerSweep } from './sessions/layers/layer-sweep.ts'
import { createLayers, type Layers } from './sessions/layers/layers.ts'
import { endLeftLeases } from './sessions/left-leases.ts'
import { removalsDone } from './sessions/removal.ts'
import { rulesOf } from './sessions/rules/decide.ts'
import { createStandbys, type Standbys } from './sessions/standbys.ts'
import { createStartGate, startPlaces } from './sessions/start-gate.ts'
import { createWorker, WORKER_PACE } from './sessions/worker.ts'
import { createSessionsApi } from './sessions-api.ts'
import type { ServerReady, ServerSettings } from './settings.ts'
import { isUnreadableEnvironment } from './store/environments.ts'
import { createNotifications, type Notifications } from './store/postgres/notifications.ts'
import { openStore, type Store } from './store/store.ts'
import { findUpstreamCredential } from './upstream-credential.ts'

type Context = ProgramContext<ServerSettings>

/** Sandbox drivers that a session may ask for; the first is the default. */
const DRIVERS = ['oci'] as const
const STANDBY_LOOK_MS = 1_000
const ADMISSION = { pollMs: 2_000 }
const LAYER_LOOK_MS = 10_000
const CLOCK = { tickMs: 1_000, reconcileMs: 5_000 }

interface Parts extends Context {
  store: Store
  notifications: Notifications
  dispatch: Dispatch
  git: GitClient
  sandboxes: SandboxDriver
}

async function startServer(context: Context): Promise<ServerReady> {
  const { settings, logger, shutdown } = context
  const { connection } = settings
  const sealingKey = await readFile(settings.keyFile)
  const store = await openStore({ connection, logger, program: 'errand-server', sealingKey })
  shutdown.add('store', () => store.close())
  const notifications = await createNotifications({ connection, logger, program: 'errand-server' })
  shutdown.add('notifications', () => notifications.close())
  const parts: Parts = {
    ...context,
    store,
    notifications,
    dispatch: createDispatch(store, rulesOf(settings)),
    git: createGitClient(settings.gitSocket),
    sandboxes: createSandboxClient({ socketPath: settings.sandboxSocket, kind: DRIVERS[0] }),
  }
  const agentStart: AgentStart = JSON.parse(await readFile(settings.agentStartFile, 'utf8'))
  const ports = createPorts(parts, agentStart)
  shutdown.add('checkout layers', () => ports.checkouts.close())
  await startWork(parts, ports)
  return startSite(parts, ports)
}

interface Ports extends EffectPorts {
  layers: Layers
  checkouts: CheckoutLayers
}

function createPorts(parts: Parts, agentStart: AgentStart): Ports {
  const {
    store,
    dispatch,
    git,
    sandboxes: driver,
    settings,
    notifications,
    logger,
    shutdown,
  } = parts
  const gate = createStartGate(
    { onSession: notifications.onSession, getSession: store.sessions.get },
    startPlaces({ processors: availableParallelism(), concurrency: settings.concurrency }),
  )
  shutdown.add('start gate', () => gate.close())
  const sandboxes = createSandboxPort(driver, { model: settings.modelInside, agentStart }, gate)
  const doors = createDoorkeeperClient(settings.gatewaySocket)
  const making = {
    ...{ store: store.layers, sandboxes: createLayerSandboxes(driver, sandboxes), doors },
    ...{ onReport: notifications.onLayer, logger },
  }
  return {
    repositories: createRepositoryPort(git, (ownerId, repository) =>
      findUpstreamCredential(store.credentials, ownerId, repository),
    ),
    sandboxes,
    doors,
    layers: createLayers({
      ...making,
      readInputs: async (request, signal) => (await git.files(request, { signal })).files,
    }),
    checkouts: createCheckoutLayers(
      { ...making, git, getSession: store.sessions.get },
      { leastFiles: settings.checkoutFiles },
    ),
    report: (sessionId, command) => dispatch.command(sessionId, command),
  }
}

async function startWork(
  { store, dispatch, notifications, sandboxes, settings, logger, shutdown }: Parts,
  ports: EffectPorts,
): Promise<void> {
  const { effects, sessions: directory } = store
  const leases = [store.layers, effects]
  await endLeftLeases({ leases, hasEnded: hasCertainlyEnded, logger })
  const deps = { effects, dispatch, ports, getSession: directory.get, logger }
  const worker = createWorker(deps, { workerId: await nameOwnProcess(), ...WORKER_PACE })
  notifications.onEffects(() => worker.wake())
  notifications.onReconnect(() => worker.wake())
  shutdown.add('worker', () => worker.close())
  shutdown.add('removals', () => removalsDone({ effects }))
  const { concurrency } = settings
  const admission = createAdmission({ directory, dispatch, logger }, { ...ADMISSION, concurrency })
  notifications.onLoad(() => admission.wake())
  notifications.onReconnect(() => admission.wake())
  shutdown.add('admission', () => admission.close())
  const { standbys, layers } = store
  const clock = createClock(
    { directory, dispatch, sandboxes: ports.sandboxes, standbys, layers, effects, logger },
    CLOCK,
  )
  shutdown.add('clock', () => clock.close())
  const sweep = startLayerSweep(
    { store: layers, sandboxes, logger },
    { budgetBytes: settings.layerBytes, lookMs: LAYER_LOOK_MS },
  )
  shutdown.add('layers', () => sweep.close())
}

async function startSite(parts: Parts, ports: Ports): Promise<ServerReady> {
  const { settings, store, notifications, logger, shutdown } = parts
  const addresses = addressesOf(settings)
  const url = addresses.origins[0]
  const accounts = await createAccounts({
    pool: store.pool,
    publicUrl: url,
    secret: z.string().parse(await store.settings.setOnce('auth.secret', createAuthSecret())),
  })
  const owner = await accounts.ensureOwner()
  const standbys = startStandbys(parts, ports, owner.id)
  const sessions = createSessionsApi({
    ...parts,
    drivers: DRIVERS,
    standbys,
    checkouts: ports.checkouts,
  })
  const { places: readPlaces } = sessions
  const live = createLiveFeed({
    ...{ notifications, readSession: store.sessions.find, readPlaces, logger },
  })
  shutdown.add('live', () => live.close())
  followDeltas(parts, live)
  const app = createHttpApp({
    accounts,
    sessions,
    owned: {
      environments: store.environments,
      layers: store.layers,
      credentials: store.credentials,
      uploads: createUploads(parts),
    },
    live,
    gitDoor: createGitDoor(settings.gitSocket),
    site: {
      ...addresses,
      webFolder: settings.webDir,
      version: settings.version,
      installation: async () => ({
        model: settings.modelKind,
        isolation: (await parts.sandboxes.isolation()).line,
        drivers: [...DRIVERS],
        standbys: await standbys.counts(),
      }),
      network: store.installationNetwork,
      trusted: async (image) => ({
        groups: TRUSTED_GROUPS.map((group) => ({ ...group, domains: [...group.domains] })),
        registries: await registriesOf(image, settings),
      }),
      logger,
    },
  })
  const listening = await listenHttp(app, { host: settings.host, port: settings.port })
  shutdown.add('http', () => listening.close())
  return greet(parts, accounts, { url, owner })
}

function startStandbys(
  { store, settings, logger, shutdown }: Parts,
  { sandboxes, doors, layers }: Ports,
  ownerId: string,
): Standbys {
  const { environments, sessions: directory } = store
  const standbys = createStandbys(
    { store: store.standbys, directory, environments, sandboxes, doors, layers, logger },
    {
      ...{ count: settings.standbys, agents: settings.standbyAgents, lookMs: STANDBY_LOOK_MS },
      ...{ ownerId, driver: DRIVERS[0] },
    },
  )
  shutdown.add('standbys', () => standbys.close())
  return standbys
}

/** The owner exists from the first start, with an environment; whoever started Errand gets a token and a link. */
async function greet(
  { store, settings, logger }: Parts,
  accounts: Accounts,
  { url, owner }: { url: string; owner: { id: string } },
): Promise<ServerReady> {
  await store.environments.ensureDefault(owner.id).catch((err: unknown) => {
    // Whoever asks for it is told; everything else goes on.
    if (!isUnreadableEnvironment(err)) throw err
    logger.error({ err }, 'the default environment cannot be read')
  })
  const { url: loginUrl } = await accounts.createLoginLink(owner.id)
  const holder = settings.token ? await accounts.userOfToken(settings.token) : undefined
  if (settings.token && holder?.id === owner.id) return { url, loginUrl, token: settings.token }
  const { secret: token } = await accounts.createToken(owner.id, 'errand on this machine')
  return { url, loginUrl, token }
}

export function addressesOf({
  host,
  port,
  publicUrl,
}: Pick<ServerSettings, 'host' | 'port' | 'publicUrl'>): {
  hosts: string[]
  origins: [string, ...string[]]
} {
  const names = [host.includes(':') ? `[${host}]` : host, '127.0.0.1', 'localhost', '[::1]']
  const own = names.map((name) => `http://${name}:${port}`)
  const urls = [...(publicUrl ? [publicUrl] : []), ...own]
  // As whoever calls writes them: in lower case, and without a port that is the usual one.
  const written = urls.filter((url) => URL.canParse(url)).map((url) => new URL(url))
  const [first = '', ...others] = new Set(written.map(({ origin }) => origin))
  return {
    hosts: [...new Set(written.map((url) => url.host))],
    origins: [first, ...others],
  }
}

function followDeltas({ settings, logger, shutdown }: Parts, live: LiveFeedSource): void {
  const closing = new AbortController()
  const publish = ({ sessionId, turnId, text }: LiveDelta) =>
    live.publishDelta(sessionId, { turnId, text })
  const following = followLive(settings.gatewaySocket, publish, closing.signal)
  following.catch((error: unknown) =>
    logger.error({ err: error }, 'live text is not followed any more'),
  )
  shutdown.add('live text', () => closing.abort())
}

function createUploads({ store, git }: Parts): UploadsApi {
  return {
    create: async (ownerId, { name }) => {
      const { uploadId } = await git.createUpload(ownerId)
      return store.uploads.create(ownerId, { id: uploadId, name })
    },
    has: async (ownerId, id) => (await store.uploads.get(ownerId, id)) !== undefined,
  }
}

/** For people: push to an upload, fetch from a session, both with large files. */
export function createGitDoor(socketPath: string): GitDoor {
  return async ({ target, rest, access, base, incoming, outgoing }) => {
    const request = parseGitRequest(incoming.method ?? 'GET', `/${rest}`)
    const service = access === 'push' ? 'git-receive-pack' : 'git-upload-pack'
    if (!request || ('service' in request && request.service !== service)) {
      throw new AppError('not_found', 'git_request', `Here git can ${access} only.`)
    }
    await proxyGit(incoming, outgoing, {
      socketPath,
      target: { ...target, ...request, base, push: null },
    })
  }
}

if (import.meta.main) await runProgram<ServerSettings>('server', startServer)
