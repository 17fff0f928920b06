import {
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { linkCommands, redirectRules } from '../oci/sandbox-network.ts'
import { bundleOf, parseCertificates } from './certificates.ts'
import { readHostEtc } from './host-files.ts'
import { file, folder, hashEntries, link, mergeEntries, writeLayer } from './layer.ts'
import { checkLibc, parseGlibcVersion } from './libc.ts'
import { PASSWD, sessionEntries } from './made-etc.ts'
import { pathInRoot } from './path-in-root.ts'
import { resolveRootfs } from './rootfs-image.ts'

let top: string
beforeEach(async () => {
  top = await mkdtemp(join(tmpdir(), 'errand-images-'))
})
afterEach(() => rm(top, { recursive: true, force: true }))

describe('readHostEtc', () => {
  it('takes named files that everybody may read, and nothing else', async () => {
    const put = async (path: string, mode = 0o644) => {
      await mkdir(join(top, path, '..'), { recursive: true })
      await writeFile(join(top, path), path, { mode })
    }
    await put('services')
    await put('shadow', 0o640)
    await put('ssh/ssh_host_rsa_key', 0o600)
    await put('docker/key.json')
    await put('maven/logging.properties')
    await put('maven/settings.xml')
    await put('perl/only-root', 0o600)
    await put('perl/api-token')
    await put('perl/server.key')
    await put('pam.d/common-password')
    await symlink('/usr/bin/mawk', join(top, 'perl', 'awk'))
    const entries = await readHostEtc(top)
    const files = entries.filter(({ kind }) => kind !== 'folder').map(({ path }) => path)
    expect(files.toSorted()).toEqual([
      'etc/maven/logging.properties',
      'etc/pam.d/common-password',
      'etc/perl/awk',
      'etc/services',
    ])
  })
})

describe('layers', () => {
  it('are written once, with their modes', async () => {
    const entries = [folder('tmp', 0o1777), file('etc/a', 'x', 0o600), link('bin', 'usr/bin')]
    const path = join(top, 'layer')
    await writeLayer(path, entries)
    expect((await stat(join(path, 'tmp'))).mode & 0o7777).toBe(0o1777)
    expect((await stat(join(path, 'etc/a'))).mode & 0o777).toBe(0o600)
    const { ino } = await stat(path)
    await writeLayer(path, entries)
    expect((await stat(path)).ino).toBe(ino)
  })

  it('are made again where a failure of power has left them without all of their words', async () => {
    const entries = [file('etc/a', 'words'), file('etc/b', ''), link('bin', 'usr/bin')]
    const path = join(top, 'layer')
    await writeLayer(path, entries)
    for (const damage of [
      () => truncate(join(path, 'etc/a')),
      () => rm(join(path, 'etc/a')),
      () => rm(join(path, 'bin')),
      () => rm(join(path, 'etc'), { recursive: true }),
    ]) {
      await damage()
      await writeLayer(path, entries)
      expect(await readFile(join(path, 'etc/a'), 'utf8')).toBe('words')
      expect(await readlink(join(path, 'bin'))).toBe('usr/bin')
      expect(await readdir(top)).toEqual(['layer'])
    }
  })

  it('are named by what is in them', () => {
    expect(hashEntries([file('a', 'b')])).not.toBe(hashEntries([file('a', 'c')]))
    expect(hashEntries([file('ab', '')])).not.toBe(hashEntries([file('a', 'b')]))
    expect(mergeEntries([file('a', '1'), file('b', '2'), file('a', '3')])).toEqual([
      file('a', '3'),
      file('b', '2'),
    ])
  })
})

describe('pathInRoot', () => {
  it('follows links below the root and never above it', async () => {
    await mkdir(join(top, 'usr/lib'), { recursive: true })
    await writeFile(join(top, 'usr/lib/file'), '')
    await symlink('/usr/lib', join(top, 'lib'))
    await symlink('../../../../etc/passwd', join(top, 'usr/out'))
    await symlink('loop', join(top, 'loop'))
    expect(await pathInRoot(top, 'lib/file')).toBe(join(top, 'usr/lib/file'))
    expect(await pathInRoot(top, '../../lib/../lib/file')).toBe(join(top, 'usr/lib/file'))
    expect(await pathInRoot(top, 'usr/out')).toBeUndefined()
    expect(await pathInRoot(top, 'loop')).toBeUndefined()
  })
})

describe('checkLibc', () => {
  const banner = (version: string) =>
    `\0\0GNU C Library (Debian GLIBC ${version}-9) stable release version ${version}.\nCopyright`
  const put = async (text: string) => {
    await mkdir(join(top, 'usr/lib/x86_64-linux-gnu'), { recursive: true })
    await writeFile(join(top, 'usr/lib/x86_64-linux-gnu/libc.so.6'), text)
  }

  it('reads the version from the library', () => {
    expect(parseGlibcVersion(Buffer.from(banner('2.36')))).toBe('2.36')
    expect(parseGlibcVersion(Buffer.from('musl'))).toBeUndefined()
  })

  it('takes new ones and refuses old ones and others', async () => {
    await expect(checkLibc(top, 'x64')).rejects.toMatchObject({ reason: 'image_libc' })
    await put(banner('2.27'))
    await expect(checkLibc(top, 'x64')).rejects.toMatchObject({ code: 'unsupported' })
    await put(banner('2.28'))
    await checkLibc(top, 'x64')
  })
})

describe('resolveRootfs', () => {
  it('stays below the folders for images, also through links', async () => {
    const images = join(top, 'images')
    await mkdir(join(images, 'one'), { recursive: true })
    await symlink('/etc', join(images, 'out'))
    expect(await resolveRootfs(join(images, 'one'), [images])).toBe(join(images, 'one'))
    const refusal = { reason: 'image_not_allowed' }
    await expect(resolveRootfs(join(images, 'out'), [images])).rejects.toMatchObject(refusal)
    await expect(resolveRootfs(`${images}/one/../..`, [images])).rejects.toMatchObject(refusal)
    await expect(resolveRootfs(images, [images])).rejects.toMatchObject(refusal)
  })
})

describe('made files', () => {
  it('take certificates and no keys', () => {
    const one = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'
    const key = '-----BEGIN PRIVATE KEY-----\nBBBB\n-----END PRIVATE KEY-----'
    expect(parseCertificates(`# x\n${one}\n${key}\n${one}\n`)).toEqual([one, one])
    expect(bundleOf([one, one])).toBe(`${one}\n`)
  })

  it('know root and name the door', () => {
    expect(PASSWD).toMatch(/^root:\*:0:0:/)
    const hosts = sessionEntries('box').find(({ path }) => path === 'etc/hosts')
    expect(hosts).toMatchObject({ data: expect.stringContaining('198.18.0.1 errand.internal') })
  })
})

describe('the network', () => {
  it('redirects ports and keeps addresses', () => {
    expect(linkCommands()).toContain('route add local 198.18.0.0/15 dev lo')
    expect(redirectRules()).toContain('ip daddr 198.18.0.1 udp dport 53 dnat to :61053')
    expect(redirectRules()).toMatch(/ip daddr 198\.18\.0\.0\/15 tcp dport 443 dnat to :61\d\d\d/)
  })
})
