// Builds, takes in and removes images for real, as root, on a definition that is small: Debian's base and two scripts.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { access, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readConfig } from '../config.ts'
import { SYSTEM_CERTIFICATES } from '../installation/ground.ts'
import { runChecked } from '../lib/process.ts'
import { findNamed } from '../sandbox/images/named-images.ts'
import { buildImage } from './build.ts'
import { listImages, removeImage } from './catalogue.ts'
import type { DefinedStep, Definition } from './definition.ts'
import { importImage } from './import.ts'
import { readMachine } from './machine.ts'
import { differences, type Manifest, type PackageRecord, readRecords } from './manifest.ts'

const BASE_MS = 300_000
const SUITE = 'trixie'
const ROOT = join(import.meta.dirname, '../..')
const SCRIPTS = {
  'first.sh': 'echo first >>/steps; printf "own\\tfirst\\t1.0\\tsum\\n" | record\n',
  // Goes on when the test says so, so that there is a step to be cut off in.
  'second.sh':
    'echo waiting; until [ -e /run/build/go-on ]; do [ ! -e /run/build/fail ] || exit 3; sleep 0.1; done; echo "$(tool thing)" >>/steps\n',
}

let top: string
let mirror: Server
/** Of the archives of that mirror, by name and version. */
const sums = new Map<string, string>()
let dataDir: string
let definition: Definition

beforeAll(async () => {
  top = await mkdtemp(join(tmpdir(), 'errand-image-'))
  dataDir = join(top, 'data')
  const images = join(top, 'images')
  const folder = join(images, 'small')
  await mkdir(folder, { recursive: true })
  for (const name of ['prelude.sh', 'finish.sh'])
    await writeFile(join(images, name), await readFile(join(ROOT, 'images', name)))
  for (const [name, text] of Object.entries(SCRIPTS)) await writeFile(join(folder, name), text)
  const steps: DefinedStep[] = [
    { name: 'first', script: 'first.sh', tools: {} },
    { name: 'second', script: 'second.sh', tools: { thing: '2.0' } },
    { name: 'third', apt: 'errand-chosen', tools: {} },
  ]
  mirror = await serveMirror(join(top, 'mirror'))
  definition = { name: 'small', suite: SUITE, steps, absent: [], folder }
})
afterAll(async () => {
  mirror.close()
  await rm(top, { recursive: true, force: true })
})

/** A mirror beside that of Debian, with two versions of a package that every base has, and of one that a step names. */
async function serveMirror(folder: string): Promise<Server> {
  const about: string[] = []
  for (const name of ['errand-base', 'errand-chosen'])
    for (const version of ['1.0', '2.0']) {
      const place = join(folder, `${name}-${version}`)
      const essential = name === 'errand-base' ? 'Essential: yes\n' : ''
      const control = `Package: ${name}\nVersion: ${version}\nArchitecture: all\nMaintainer: a <a@b.invalid>\n${essential}Description: ${name}\n`
      await mkdir(join(place, 'DEBIAN'), { recursive: true })
      await writeFile(join(place, 'DEBIAN/control'), control)
      await runChecked('dpkg-deb', ['--build', '--root-owner-group', place])
      const archive = await readFile(`${place}.deb`)
      const sum = createHash('sha256').update(archive).digest('hex')
      sums.set(`${name}-${version}`, sum)
      const file = `Filename: ./${name}-${version}.deb\nSize: ${archive.length}\nSHA256: ${sum}\n`
      about.push(`${control}${file}`)
    }
  const packages = about.join('\n')
  await writeFile(join(folder, 'Packages'), packages)
  const sum = createHash('sha256').update(packages).digest('hex')
  const date = new Date().toUTCString()
  const release = `Suite: stable\nCodename: ${SUITE}\nDate: ${date}\nSHA256:\n ${sum} ${packages.length} Packages\n`
  await writeFile(join(folder, 'Release'), release)
  const server = createServer((request, response) => {
    readFile(join(folder, basename(request.url ?? ''))).then(
      (data) => response.end(data),
      () => response.writeHead(404).end(),
    )
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return server
}

async function machineWithMirror() {
  const machine = await readMachine(SUITE)
  const { port } = mirror.address() as AddressInfo
  const line = `deb [trusted=yes] http://127.0.0.1:${port}/ ./\n`
  return { ...machine, aptSources: `${machine.aptSources}${line}` }
}

interface Attempt {
  wanted?: Manifest
  /** Called with each line of a step. */
  onLine?: (line: string, stop: () => void) => void
}

async function attempt({ wanted, onLine }: Attempt = {}) {
  const ended = new AbortController()
  const names: string[] = []
  const stop = () => ended.abort(new Error('stopped by the test'))
  const work = buildImage({
    ...{ dataDir, allowedNetworks: [], definition, machine: await machineWithMirror() },
    ...{ caFile: SYSTEM_CERTIFICATES, checkTools: SYSTEM_CERTIFICATES, proxies: {}, wanted },
    now: () => new Date(),
    progress: { step: (_at, _of, name) => names.push(name), line: (text) => onLine?.(text, stop) },
    signal: ended.signal,
  })
  return { work, names }
}

const isOwn = ({ name }: PackageRecord) => name.startsWith('errand-')
const own = (packages: PackageRecord[]) =>
  packages.filter(isOwn).map(({ name, version }) => `${name} ${version}`)
const told = (name: string) => join(dataDir, 'images/building/small/build', name)
const manifestOf = (packages: PackageRecord[]): Manifest => ({
  ...{ name: 'small', version: '1', builtAt: new Date().toISOString(), suite: 'trixie' },
  ...{ packages, absent: [] },
})
const config = () => ({ ...readConfig({ dataDir }), codeDir: top })

describe('building an image', { timeout: BASE_MS }, () => {
  it('is cut off, fails, differs from a manifest, goes on where it was each time, and appears when all is done', async () => {
    const cutOff = await attempt({ onLine: (line, stop) => line === 'waiting' && stop() })
    await expect(cutOff.work).rejects.toThrow('stopped by the test')
    expect(cutOff.names).toEqual(['Debian trixie', 'first', 'second'])
    expect(await runChecked('ps', ['-eo', 'args'])).not.toContain(dataDir)

    await writeFile(told('fail'), '')
    const failed = await attempt()
    await expect(failed.work).rejects.toMatchObject({
      reason: 'image_step_failed',
      message: expect.stringContaining('ended with 3'),
    })
    expect(failed.names).toEqual(['second'])
    await expect(findNamed(dataDir, 'small')).rejects.toMatchObject({ reason: 'image_not_built' })

    await writeFile(told('go-on'), '')
    const other = await attempt({ wanted: manifestOf([]) })
    await expect(other.work).rejects.toMatchObject({
      reason: 'manifest_differs',
      message: expect.stringMatching(/apt base-files .* is not in the manifest/),
    })
    expect(other.names).toEqual(['second', 'third', 'manifest'])
    await expect(findNamed(dataDir, 'small')).rejects.toMatchObject({ reason: 'image_not_built' })

    const newest = await readRecords(told('records'))
    expect(own(newest)).toEqual(['errand-base 2.0', 'errand-chosen 2.0'])
    const at = (version: string) =>
      manifestOf(
        newest.map((item) =>
          isOwn(item)
            ? { ...item, version, checksum: `sha256:${sums.get(`${item.name}-${version}`)}` }
            : item,
        ),
      )
    const gone = await attempt({ wanted: at('3.0') })
    await expect(gone.work).rejects.toMatchObject({
      reason: 'manifest_differs',
      message: expect.stringContaining('apt errand-chosen is 2.0, 1.0 (wanted 3.0)'),
    })
    expect(gone.names).toEqual([])

    const wanted = at('1.0')
    const done = await attempt({
      wanted,
      onLine: (line) => line === 'waiting' && void writeFile(told('go-on'), ''),
    })
    const { manifest, path } = await done.work
    expect(done.names).toEqual(['Debian trixie', 'first', 'second', 'third', 'manifest'])
    expect(own(manifest.packages)).toEqual(['errand-base 1.0', 'errand-chosen 1.0'])
    await expect(access(join(path, 'rootfs/etc/apt/preferences'))).rejects.toThrow()
    expect(await findNamed(dataDir, 'small')).toBe(join(path, 'rootfs'))
    expect(await readFile(join(path, 'rootfs/steps'), 'utf8')).toBe('first\n2.0\n')
    expect(differences(wanted.packages, manifest.packages)).toEqual([])
    expect(manifest.packages).toContainEqual({
      ...{ kind: 'own', name: 'first', version: '1.0', checksum: 'sum' },
    })
    const bash = manifest.packages.find(({ kind, name }) => kind === 'apt' && name === 'bash')
    expect(bash?.checksum).toMatch(/^sha256:[0-9a-f]{64}$/)
    await expect(access(join(dataDir, 'images/building/small'))).rejects.toThrow()
  })
})

describe('an image of one’s own', { timeout: BASE_MS }, () => {
  it('is taken in from a folder and from an archive, and removed', async () => {
    const root = await findNamed(dataDir, 'small')
    const archive = join(top, 'root.tar.gz')
    await runChecked('tar', ['-I', 'gzip -1', '-cf', archive, '-C', root, '.'])
    for (const [name, source] of [
      ['from-folder', root],
      ['from-archive', archive],
    ] as const) {
      const { manifest, path } = await importImage(config(), { name, source })
      expect(manifest.packages.some((item) => item.name === 'bash')).toBe(true)
      expect(await readFile(join(path, 'rootfs/steps'), 'utf8')).toBe('first\n2.0\n')
    }
    const names = (await listImages(config())).map(({ name }) => name)
    expect(names).toEqual(['from-archive', 'from-folder', 'small'])
    expect(await removeImage(config(), 'from-archive')).toBe(0)
    await expect(removeImage(config(), 'from-archive')).rejects.toMatchObject({ code: 'not_found' })
    await expect(findNamed(dataDir, 'from-archive')).rejects.toMatchObject({ code: 'not_found' })
  })

  it.each([
    ['Bad Name', '/', 'image_name'],
    ['small', '/', 'image_defined'],
    ['none', '/nowhere', 'image_source'],
    ['text', join(ROOT, 'package.json'), 'image_source'],
    ['empty', join(ROOT, 'images'), 'image_source'],
  ])('is refused as %s from %s (%s)', async (name, source, reason) => {
    await expect(importImage(config(), { name, source })).rejects.toMatchObject({ reason })
    await expect(findNamed(dataDir, name))
      .resolves.toBeTruthy()
      .catch(() => undefined)
  })
})
