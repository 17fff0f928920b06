// The folder that becomes /opt/errand: something empty for each of Errand's own parts, over which the real one is mounted,
// and in bin a `node` for machines that have none in /usr, and the tools that the configuration adds.
import { mkdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { SANDBOX_PATHS } from '../../protocol/network.ts'
import { file, folder, hashEntries, link, writeLayer } from './layer.ts'

export const TOOLS_INSIDE = '/opt/errand/bin'

/** `tools` are the names of the programs in bin. */
export async function makeProgramsFolder(dataDir: string, tools: string[]): Promise<string> {
  const { node, runner, agent, session, beforeRunner } = SANDBOX_PATHS
  const entries = [
    ...[node, agent, session, beforeRunner].map((path) => file(basename(path), '', 0o755)),
    folder(basename(dirname(runner))),
    ...tools.map((name) => file(`bin/${name}`, '', 0o755)),
    link('bin/node', `../${basename(node)}`),
  ]
  const path = join(dataDir, 'images', `programs-${hashEntries(entries)}`)
  await mkdir(join(dataDir, 'images'), { recursive: true, mode: 0o700 })
  await writeLayer(path, entries)
  return path
}
