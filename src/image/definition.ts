// The definition of an image that Errand builds: data below images/<name>/, with the scripts of its steps beside it.
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { imageNameSchema } from '../protocol/environment.ts'
import { AppError } from '../protocol/errors.ts'
import { orWhenMissing } from '../sandbox/files.ts'

const stepSchema = z.strictObject({
  name: z.string(),
  /** Debian packages, with blanks between them. */
  apt: z.string().optional(),
  /** A script beside the definition; it reads the tools and their versions. */
  script: z
    .string()
    .regex(/^[a-z-]+\.sh$/)
    .optional(),
  tools: z.record(z.string(), z.string()).default({}),
})
export type DefinedStep = z.infer<typeof stepSchema>

const absentSchema = z.strictObject({ name: z.string(), reason: z.string() })

const definitionSchema = z.strictObject({
  name: imageNameSchema,
  /** Debian's name of the release. */
  suite: z.string().regex(/^[a-z]+$/),
  steps: z.array(stepSchema).min(1),
  /** What people may look for and the image does not have. */
  absent: z.array(absentSchema),
})

export interface Definition extends z.infer<typeof definitionSchema> {
  /** Holds the scripts. */
  folder: string
}

export async function readDefinition(codeDir: string, name: string): Promise<Definition> {
  const folder = join(codeDir, 'images', imageNameSchema.safeParse(name).data ?? 'none')
  const text = await orWhenMissing(undefined, readFile(join(folder, 'definition.json'), 'utf8'))
  if (text === undefined) {
    const message = `There is no definition of an image ${name}. Build universal, or bring one of your own: errand image import NAME <folder or tar>.`
    throw new AppError('not_found', 'image_not_defined', message)
  }
  return { ...definitionSchema.parse(JSON.parse(text)), folder }
}

/** What a step does, with everything that was done before it: a step whose key was finished before need not run again. */
export async function stepKeys({ suite, steps, folder }: Definition): Promise<string[]> {
  const common = ['../prelude.sh', '../finish.sh'].map((name) =>
    readFile(join(folder, name), 'utf8'),
  )
  let before = createHash('sha256')
    .update(suite)
    .update((await Promise.all(common)).join('\0'))
    .digest('hex')
  const keys = [before]
  for (const step of steps) {
    const script = step.script ? await readFile(join(folder, step.script), 'utf8') : ''
    before = createHash('sha256')
      .update(before)
      .update(JSON.stringify(step))
      .update(script)
      .digest('hex')
    keys.push(before)
  }
  return keys
}
