// `errand image build`: what the build needs of this machine, progress on the terminal, Ctrl-C.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { plainLine } from '../cli/terminal/plain-text.ts'
import { type Config, inheritedEnvironment } from '../config.ts'
import { gatherCertificates, SYSTEM_CERTIFICATES } from '../installation/ground.ts'
import { AppError } from '../protocol/errors.ts'
import { buildImage, type Progress } from './build.ts'
import { removeUnused } from './catalogue.ts'
import { readDefinition } from './definition.ts'
import { readMachine } from './machine.ts'
import { type Manifest, readManifest } from './manifest.ts'

interface Terminal {
  write(text: string): unknown
  isTTY?: boolean
  columns(): number | undefined
}

interface BuildRequest {
  manifest: string | undefined
  terminal: Terminal
}

export async function buildNamed(
  config: Config,
  name: string,
  { manifest, terminal }: BuildRequest,
): Promise<{ manifest: Manifest; path: string }> {
  if (!config.isRoot) {
    const message =
      'Building an image needs root. As an ordinary user bring a root file system along: errand image import NAME FOLDER'
    throw new AppError('forbidden', 'image_needs_root', message)
  }
  const definition = await readDefinition(config.codeDir, name)
  const wanted = manifest === undefined ? undefined : await readManifest(manifest)
  const machine = await readMachine(definition.suite)
  const ended = new AbortController()
  const end = () =>
    ended.abort(
      new AppError(
        'unavailable',
        'image_interrupted',
        'Interrupted. The same command goes on where it was.',
      ),
    )
  const scratch = await mkdtemp(join(tmpdir(), 'errand-image-'))
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, end)
  try {
    const caFile = join(scratch, 'certificates.pem')
    const built = await buildImage({
      dataDir: config.dataDir,
      allowedNetworks: config.allowedNetworks,
      definition,
      machine,
      caFile: (await gatherCertificates(config, { caFile })) ? caFile : SYSTEM_CERTIFICATES,
      checkTools: join(config.codeDir, 'dist/tools/check-tools'),
      proxies: proxiesOf(inheritedEnvironment()),
      wanted,
      now: () => new Date(),
      progress: createProgress(terminal),
      signal: ended.signal,
    })
    await removeUnused(config)
    return built
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

function proxiesOf(env: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).filter(([name]) => /^(https?|no|all)_proxy$/i.test(name)),
  )
}

/** Steps as lines; on a terminal the line that the running step prints stands below them and is written over. */
function createProgress(terminal: Terminal): Progress {
  const wipe = terminal.isTTY ? '\r\u001B[2K' : ''
  return {
    step: (at, of, name) => terminal.write(`${wipe}[${at}/${of}] ${name}\n`),
    line: (text) => {
      if (terminal.isTTY)
        terminal.write(`${wipe}  ${plainLine(text).slice(0, (terminal.columns() ?? 80) - 3)}`)
    },
  }
}
