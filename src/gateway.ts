// The one exit of every sandbox, as a user of its own: a door per session, through which go the runner's channel, git,
// model requests and all other traffic. It holds credentials in memory, per request, and outlives the server.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DoorRoute } from './door/call-route.ts'
import { createDoors, type Doors } from './door/doors.ts'
import type { TlsEnding } from './egress/proxy/exchange.ts'
import { createForwardProxy } from './egress/proxy/forward-proxy.ts'
import { decideListed } from './egress/rules/decide.ts'
import { parseHost } from './egress/rules/hosts.ts'
import { createLeaves } from './egress/tls/authority.ts'
import { createSecureUpstream } from './egress/tls/upstream-tls.ts'
import { type ControlServer, startControl } from './gateway/control.ts'
import { type CredentialWatch, createCredentialWatch } from './gateway/credentials.ts'
import { tellDecisions } from './gateway/decisions.ts'
import { createGitRoute, createSubmoduleRoute } from './gateway/git-door.ts'
import { createLayerBuilds, type LayerBuilds } from './gateway/layers.ts'
import { createNetworkWatch } from './gateway/network.ts'
import { createNetworkLog, type NetworkLog } from './gateway/network-log.ts'
import { createOwnRepositories } from './gateway/own-repositories.ts'
import { followPushes } from './gateway/pushes.ts'
import { createReachRoute } from './gateway/reach.ts'
import { reopenDoors } from './gateway/reopened-doors.ts'
import { createReports, type Reports } from './gateway/reports.ts'
import { createRunnerLink } from './gateway/runner.ts'
import {
  createSessionWatch,
  NO_RULES,
  type SessionWatch,
  type SessionWatchDeps,
} from './gateway/sessions.ts'
import { createSubmodules } from './gateway/submodules.ts'
import { createGitClient } from './git/client.ts'
import { createHostDial } from './git-egress.ts'
import type { Logger } from './lib/logger.ts'
import { createModelCaps } from './model/caps.ts'
import { createModelDoor } from './model/pass-through.ts'
import { isUpstream, readUpstream } from './model/upstream.ts'
import { openUsageJournal } from './model/usage-journal.ts'
import { outliveErrors, type ProgramContext, runProgram } from './program-main.ts'
import { createDispatch, sessionNotFound } from './sessions/dispatch.ts'
import { rulesOf } from './sessions/rules/decide.ts'
import type { GatewaySettings } from './settings.ts'
import { createNotifications, type Notifications } from './store/postgres/notifications.ts'
import { openStore, type Store } from './store/store.ts'

type Context = ProgramContext<GatewaySettings>

const HTTPS_PORT = 443
/** A sandbox that waits for its session, or makes a layer, has no model. */
const NO_SESSION = {
  status: 400,
  reason: 'session_missing',
  message: 'there is no session yet that could ask a model',
} as const

async function startGateway({ settings, logger, shutdown }: Context): Promise<void> {
  outliveErrors(logger)
  const { connection, keyFile } = settings
  const sealingKey = await readFile(keyFile)
  const store = await openStore({ connection, logger, program: 'errand-gateway', sealingKey })
  shutdown.add('store', () => store.close())
  const notifications = await createNotifications({ connection, logger, program: 'errand-gateway' })
  shutdown.add('notifications', () => notifications.close())

  const closing = new AbortController()
  const dispatch = createDispatch(store, rulesOf(settings))
  const journal = openUsageJournal(join(settings.dataDir, 'usage.ndjson'), (err) =>
    logger.error({ err }, 'the journal of usage could not be written'),
  )
  const reports = createReports({ dispatch, journal, logger }, closing.signal)
  for (const usage of journal.left) reports.used(usage)
  const { watch, builds, credentials, log } = await startWatching(
    { settings, logger, shutdown, store, notifications },
    {
      onChange: ({ state }) => link.direct(state),
      // What is open and no longer allowed ends now.
      onRules: (sessionId, rules) => void routes.egress.recheck(sessionId, rules),
    },
  )
  const ending = await createEnding(settings)
  const parts = { logger, settings, store, watch, reports, builds, credentials, ending, log }
  const routes = createRoutes(parts)
  let control: ControlServer | undefined
  const link = createRunnerLink({
    dispatch,
    watch: () => watch,
    send: (sessionId, directives) => doors.get(sessionId)?.runner.send(directives) ?? false,
    broadcast: (delta) => control?.broadcast(delta),
    publicUrl: settings.publicUrl,
    onParked: (sessionId) => store.standbys.markReady(sessionId),
    ...{ closing: closing.signal, logger },
  })
  const doors: Doors = createDoors({
    doorsDir: settings.doorsDir,
    routes,
    runnerEvents: (id) => (builds.rules(id) ? builds.events(id) : link.events(id)),
    logger,
  })
  shutdown.add('doors', () => doors.closeAll())
  control = await startControl(settings.socketPath, {
    open: async (sessionId) => {
      const isKnown = (await watch.follow(sessionId)) || (await store.standbys.has(sessionId))
      if (!isKnown && !(await builds.follow(sessionId))) throw sessionNotFound()
      await log.load(sessionId)
      await doors.open(sessionId)
    },
    close: async (sessionId) => {
      watch.forget(sessionId)
      link.forget(sessionId)
      routes.egress.forget(sessionId)
      routes.submodules.forget(sessionId)
      log.forget(sessionId)
      builds.forget(sessionId)
      await doors.remove(sessionId)
    },
  })
  shutdown.add('control', () => control?.close())
  const reopening = await reopenDoors({ store, watch, builds, log, doors, logger })
  shutdown.add('doors to open', () => reopening.close())
  const git = createGitClient(settings.gitSocket)
  const following = followPushes({ git, store: reports.pushed, logger }, closing.signal)
  shutdown.add('reports', async () => {
    closing.abort()
    await Promise.allSettled([following, link.ended, reports.settled()])
  })
}

/** Sessions and layers in the making as they are, with what the owner has set for all of them. */
async function startWatching(
  {
    settings,
    logger,
    shutdown,
    store,
    notifications,
  }: Context & { store: Store; notifications: Notifications },
  { onChange, onRules }: Pick<SessionWatchDeps, 'onChange' | 'onRules'>,
): Promise<Pick<RouteParts, 'watch' | 'builds' | 'credentials' | 'log'>> {
  const network = await createNetworkWatch({
    ...{ store: store.installationNetwork, notifications, logger },
    onChange: () => {
      watch.recompile()
      builds.recompile()
    },
  })
  shutdown.add('network', () => network.close())
  const upstream = readUpstream(settings.model)
  const credentials = createCredentialWatch({
    ...{ store: store.credentials, notifications, logger },
    modelHost: isUpstream(upstream) ? new URL(upstream.baseUrl).hostname : null,
    modelSecrets: () => (isUpstream(upstream) ? upstream.secrets() : []),
    onChange: () => {
      watch.recompile()
      builds.recompile()
    },
  })
  shutdown.add('credentials', () => credentials.close())
  const shared = { installation: settings, network: network.get, credentials, onRules }
  const directory = store.sessions
  const watch = createSessionWatch({ ...shared, directory, notifications, onChange, logger })
  shutdown.add('watch', () => watch.close())
  const builds = createLayerBuilds({ ...shared, layers: store.layers })
  await store.networkLog.endOpen('gateway_ended')
  const log = createNetworkLog({ store: store.networkLog, logger })
  shutdown.add('network log', () => log.close())
  return { watch, builds, credentials, log }
}

interface RouteParts {
  logger: Logger
  settings: GatewaySettings
  store: Store
  watch: SessionWatch
  reports: Reports
  builds: LayerBuilds
  credentials: CredentialWatch
  ending: TlsEnding
  log: NetworkLog
}

/** What TLS is ended with towards sandboxes, and what it is verified with towards hosts. */
async function createEnding({ authority }: GatewaySettings): Promise<TlsEnding> {
  const [key, certificate] = await Promise.all(
    [authority.keyFile, authority.certificateFile].map((path) => readFile(path, 'utf8')),
  )
  const leafFor = await createLeaves({ key: key ?? '', certificate: certificate ?? '' }, Date.now)
  return { leafFor, secure: createSecureUpstream() }
}

function createRoutes(parts: RouteParts) {
  const { settings, store, watch, reports, builds, credentials, ending, log } = parts
  const rulesFor = (sessionId: string) =>
    watch.get(sessionId)?.rules ?? builds.rules(sessionId) ?? NO_RULES
  const upstream = readUpstream(settings.model)
  const submodules = createSubmodules({
    git: createGitClient(settings.gitSocket),
    credentials: store.credentials,
    allows: (sessionId, host, port) =>
      decideListed(rulesFor(sessionId), parseHost(host), port).allow,
    onProblem: (sessionId, error) =>
      parts.logger.warn({ err: error, sessionId }, 'the submodules of a session are not known'),
  })
  const git = createGitRoute(settings.gitSocket, { store, watch, builds, submodules })
  const ownPathsAt = createOwnRepositories({
    stateOf: (sessionId) => watch.get(sessionId)?.state,
    submodules,
    git,
    readSubmodule: (submodule) => createSubmoduleRoute(settings.gitSocket, submodule),
  })
  const egress = createForwardProxy({
    policyFor: rulesFor,
    dial: createHostDial(),
    ending: { ...ending, ownPathsAt },
    credentialsFor: (sessionId) =>
      (watch.get(sessionId)?.credentials ?? builds.credentials(sessionId))?.bound ?? [],
    onCredentialUsed: (sessionId, credential) => {
      const ownerId = watch.get(sessionId)?.state.ownerId ?? builds.owner(sessionId)
      if (ownerId !== undefined) credentials.used(ownerId, credential)
    },
    trafficFor: (sessionId) => watch.get(sessionId)?.traffic ?? builds.traffic(sessionId),
    usedBefore: log.usedBefore,
    ...tellDecisions({
      ...{ reports, log },
      redactorOf: (sessionId) => watch.get(sessionId)?.credentials.redactor,
    }),
  })
  const model = createModelDoor({
    upstreamFor: (sessionId) => (watch.get(sessionId) ? upstream : NO_SESSION),
    limits: { maxConcurrent: settings.model.concurrency },
    policy: {
      ...createModelCaps(settings.model, {
        stored: (sessionId) => watch.get(sessionId)?.state.usage,
        waiting: reports.waiting,
      }),
      allowsHost: (sessionId, host) =>
        decideListed(rulesFor(sessionId), parseHost(host), HTTPS_PORT).allow,
    },
    onProgress: reports.using,
    onUsage: reports.used,
    onProblem: reports.failed,
  })
  return {
    egress,
    reach: createReachRoute((sessionId) => watch.get(sessionId)),
    setup: builds.inputs,
    git,
    submodules,
    model: (({ sessionId, request, response }) =>
      model(sessionId, request, response)) satisfies DoorRoute,
  }
}

if (import.meta.main) await runProgram<GatewaySettings>('gateway', startGateway)
