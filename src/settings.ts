// What each program is told when it starts. Written by `up`, read by the programs; no other way in.
import type { AllowedNetwork, Config } from './config.ts'
import type { Registry } from './egress/registries/registry-files.ts'
import type { ModelInside } from './protocol/model-endpoint.ts'
import type { DatabaseConnection } from './store/postgres/database.ts'

interface Common {
  logLevel: string
}

export interface GatewaySettings extends Common {
  connection: DatabaseConnection
  keyFile: string
  /** PEM files of the authority by which TLS is ended towards sandboxes. */
  authority: { keyFile: string; certificateFile: string }
  /** Belongs to this program's user alone. */
  dataDir: string
  doorsDir: string
  socketPath: string
  gitSocket: string
  model: Config['model']
  allowedNetworks: AllowedNetwork[]
  publicUrl: string | null
  /** How many sessions may work at once. The server has the same number. */
  concurrency: number
  /** After how many a sandbox without work is stopped, 0 for never. The server has the same number. */
  idleMinutes: number
  /** Package registries that the host's own tools are configured for. */
  registries: Registry[]
  /** Where the registries of named images stand. */
  namedImagesDir: string
}

export interface ServerSettings extends Common {
  connection: DatabaseConnection
  keyFile: string
  host: string
  port: number
  publicUrl: string | null
  gitSocket: string
  gatewaySocket: string
  sandboxSocket: string
  webDir: string
  /** What scripts/build-runner.ts writes down of how an agent is started. */
  agentStartFile: string
  version: string
  modelKind: 'live' | 'scripted' | 'missing'
  modelInside: ModelInside
  /** How many sandboxes are kept started ahead, and how many of them with an agent. */
  standbys: number
  standbyAgents: number
  concurrency: number
  idleMinutes: number
  git: Config['git']
  /** As the gateway has them, to be shown. */
  registries: Registry[]
  namedImagesDir: string
  /** What the layers of all environments may take on the disk. */
  layerBytes: number
  /** From this many files on the work tree of a repository is kept as a layer. */
  checkoutFiles: number
  /** The CLI's token from the last start, kept while it is good. */
  token: string | null
}

/** What the server says when it is ready. */
export interface ServerReady {
  url: string
  /** For the CLI of whoever started Errand. */
  token: string
  loginUrl: string
}

/** What sandboxd says when it is ready. */
export interface SandboxdReady {
  /** Why no session can start, and what mends it. */
  refusal: string | null
}

/** What stands in the instance file, for the CLI to find a running Errand. */
export interface Instance {
  pid: number
  /** That people use. */
  url: string
  /** For programs of this machine; an earlier version says none. */
  listener?: string
  version: string
}
