// What package registries a named image is configured for: learnt when it is built or brought along, kept beside it where the
// gateway, which cannot look into images, reads it.
import { chmod, mkdir, readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import type { Config } from '../config.ts'
import { PACKAGE_TOOLS, type Registry } from '../egress/registries/registry-files.ts'
import { findRegistries } from '../installation/image-registries.ts'
import type { Image } from '../protocol/environment.ts'
import { orWhenMissing, writeWhole } from '../sandbox/files.ts'
import { namedImagesFolder } from '../sandbox/images/named-images.ts'

const LIMIT_MS = 60_000

const registriesSchema = z.array(
  z.object({
    tool: z.enum(PACKAGE_TOOLS),
    host: z.string(),
    port: z.int(),
    url: z.string(),
    from: z.string(),
  }),
)

/** What could not be learnt, one sentence each. */
export async function keepRegistries(
  config: Pick<Config, 'dataDir' | 'allowedNetworks'>,
  name: string,
  root: string,
): Promise<string[]> {
  const found = await findRegistries(config, root, AbortSignal.timeout(LIMIT_MS))
  const path = registriesFile(namedImagesFolder(config.dataDir), name)
  await mkdir(dirname(path), { recursive: true })
  for (const folder of [dirname(dirname(path)), dirname(path)]) await chmod(folder, 0o711)
  await writeWhole(path, JSON.stringify(found.registries), 0o644)
  return found.warnings
}

/** Of the image that an environment names; `host` are the machine's own, which count where nothing else is known. */
export async function registriesOf(
  image: Image,
  { namedImagesDir, registries: host }: { namedImagesDir: string; registries: Registry[] },
): Promise<Registry[]> {
  if (image.kind !== 'named') return host
  const path = registriesFile(namedImagesDir, image.name)
  const text = await orWhenMissing(undefined, readFile(path, 'utf8'))
  return text === undefined ? host : registriesSchema.parse(JSON.parse(text))
}

function registriesFile(folder: string, name: string): string {
  return join(folder, name, 'registries.json')
}
