// `errand image …`: build, bring along, list and remove the root file systems that environments name.
import type { Command } from 'commander'
import type { Cli } from '../cli/command.ts'
import { plainLine, safeJson } from '../cli/terminal/plain-text.ts'
import { readConfig } from '../config.ts'
import type { ListedImage } from './catalogue.ts'

interface Options {
  data?: string
  json?: boolean
  manifest?: string
}

export function addImageCommand(program: Command, { deps }: Cli): void {
  const image = program.command('image').description('root file systems for environments')
  const add = (specification: string, description: string) =>
    image
      .command(specification)
      .description(description)
      .option('--data <folder>', 'where everything is kept')
      .option('--json', 'print JSON and nothing else')
  const say = ({ json }: Options, value: object, lines: string[]) =>
    deps.stdout.write(
      json ? `${safeJson(value)}\n` : lines.map((line) => `${plainLine(line)}\n`).join(''),
    )

  add('build <name>', 'build an image from its definition; a build that was ended goes on')
    .option('--manifest <file>', 'build the set of this manifest, or say what differs')
    .action(async (name: string, options: Options) => {
      const { buildNamed } = await import('./build-command.ts')
      const { manifest, path } = await buildNamed(readConfig({ dataDir: options.data }), name, {
        manifest: options.manifest,
        terminal: deps.stderr,
      })
      const { version, packages, absent } = manifest
      say(options, { name, version, path, packages: packages.length, absent }, [
        `The image ${name} is built: ${packages.length} packages and tools, version ${version}.`,
        ...absent.map((tool) => `Not in it: ${tool.name}. ${tool.reason}`),
      ])
    })
  add(
    'import <name> <source>',
    'take in a root file system of your own: a folder, or a tar archive',
  ).action(async (name: string, source: string, options: Options) => {
    const { importImage } = await import('./import.ts')
    const { manifest, path } = await importImage(readConfig({ dataDir: options.data }), {
      name,
      source,
    })
    const { version, packages } = manifest
    say(options, { name, version, path, packages: packages.length }, [
      `The image ${name} is taken in, version ${version}. Environments name it: {"kind":"named","name":"${name}"}`,
    ])
  })
  add('list', 'the images of this machine').action(async (options: Options) => {
    const { listImages } = await import('./catalogue.ts')
    const images = await listImages(readConfig({ dataDir: options.data }))
    say(options, { images }, images.map(describe))
  })
  add('remove <name>', 'take an image away; sandboxes that are made of it keep it').action(
    async (name: string, options: Options) => {
      const { removeImage } = await import('./catalogue.ts')
      const kept = await removeImage(readConfig({ dataDir: options.data }), name)
      say(options, { removed: name, keptForSandboxes: kept }, [
        kept === 0
          ? `The image ${name} is removed.`
          : `The image ${name} is removed; its files stay until the sandboxes that are made of it are.`,
      ])
    },
  )
}

function describe({ name, version, builtAt, packages }: ListedImage): string {
  if (version === null) return `${name.padEnd(16)} not built; errand image build ${name}`
  if (builtAt === null)
    return `${name.padEnd(16)} ${version}  its manifest cannot be read: make it again, by build or import`
  return `${name.padEnd(16)} ${version}  ${packages} packages and tools of ${builtAt}`
}
