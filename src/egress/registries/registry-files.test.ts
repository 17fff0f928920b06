import { describe, expect, it } from 'vitest'
import {
  aptListUrls,
  aptSourcesUrls,
  cargoConfigUrls,
  cargoDownloads,
  createRegistry,
  gemrcUrls,
  indexPageLinks,
  mavenSettingsUrls,
  npmrcUrls,
  pipConfUrls,
} from './registry-files.ts'

describe('createRegistry', () => {
  it('keeps the URL without its credentials', () => {
    expect(
      createRegistry('npm', 'https://user:secret@Npm.Example:4873/x/?token=secret#y', '/etc/npmrc'),
    ).toEqual({
      tool: 'npm',
      host: 'npm.example',
      port: 4873,
      url: 'https://npm.example:4873/x/',
      from: '/etc/npmrc',
    })
    expect(createRegistry('apt', 'http://apt.example/debian', 'x')?.port).toBe(80)
    expect(createRegistry('pip', 'https://[2001:db8::1]/simple', 'x')?.host).toBe('2001:db8::1')
  })

  it.each([
    'cdrom:[Debian]/',
    'file:/opt/debs',
    'mirror+file:/etc/m',
    'not a url',
    '/opt/wheels',
    '',
  ])('leaves %j out', (text) => {
    expect(createRegistry('apt', text, 'x')).toBeNull()
  })
})

describe('npm', () => {
  it('reads registries and scopes, nothing else', () => {
    const text = [
      '; registry=https://comment.example/',
      'registry = https://npm.example/',
      '@corp:registry="https://corp.example/npm/"',
      '//npm.example/:_authToken=secret',
      'proxy=http://proxy.example/',
    ].join('\n')
    expect(npmrcUrls(text)).toEqual(['https://npm.example/', 'https://corp.example/npm/'])
  })
})

describe('pip', () => {
  it('reads index and extra indexes, also over several lines', () => {
    const text = [
      '[global]',
      '# index-url = https://comment.example/',
      'index-url = https://pip.example/simple',
      'extra-index-url =',
      '    https://one.example/simple',
      '    https://two.example/simple',
      'timeout = 60',
      '    https://not-a-url-key.example/',
      '[install]',
      'find-links = /opt/wheels https://links.example/',
    ].join('\n')
    expect(pipConfUrls(text)).toEqual({
      index: 'https://pip.example/simple',
      extra: [
        'https://one.example/simple',
        'https://two.example/simple',
        '/opt/wheels',
        'https://links.example/',
      ],
    })
    expect(pipConfUrls('')).toEqual({ index: null, extra: [] })
  })

  it('finds file links on both kinds of index page', () => {
    const page = 'https://pip.example/simple/pip/'
    const html =
      '<a href="https://files.example/p.whl#sha256=1">p</a><a  class=x href=\'../../f.whl\'>f</a>'
    expect(indexPageLinks(html, page)).toEqual([
      'https://files.example/p.whl#sha256=1',
      'https://pip.example/f.whl',
    ])
    const json = JSON.stringify({ files: [{ url: 'https://files.example/p.whl' }, { url: 3 }, {}] })
    expect(indexPageLinks(json, page)).toEqual(['https://files.example/p.whl'])
    expect(indexPageLinks('{}', page)).toEqual([])
  })
})

describe('apt', () => {
  it('reads both formats of its sources', () => {
    expect(
      aptListUrls(
        [
          'deb http://apt.example/debian bookworm main',
          'deb-src [arch=amd64 signed-by=/x] https://src.example/debian bookworm main',
          '# deb http://comment.example/ x y',
          'deb cdrom:[Debian]/ bookworm main',
        ].join('\n'),
      ),
    ).toEqual(['http://apt.example/debian', 'https://src.example/debian', 'cdrom:[Debian]/'])
    expect(
      aptSourcesUrls(
        [
          'Types: deb',
          '# http://comment.example/',
          'URIs: http://one.example/debian',
          '  http://two.example/debian',
          'Suites: x',
          '',
          'Types: deb',
          'Enabled: no',
          'URIs: http://off.example/',
          '',
          'uris: https://three.example/',
        ].join('\n'),
      ),
    ).toEqual(['http://one.example/debian', 'http://two.example/debian', 'https://three.example/'])
    expect(aptSourcesUrls('')).toEqual([])
  })
})

describe('cargo', () => {
  it('reads registries and replaced sources of a config, and where crates are', () => {
    const text = [
      '[source.crates-io]',
      'replace-with = "corp"',
      '[source.corp]',
      'registry = "sparse+https://corp.example/index/"',
      '[registries.other]',
      'index = "https://other.example/git"',
      '# index = "https://comment.example/"',
    ].join('\n')
    expect(cargoConfigUrls(text)).toEqual([
      'https://corp.example/index/',
      'https://other.example/git',
    ])
    expect(cargoDownloads('{"dl":"https://dl.example/crates","api":null}')).toEqual([
      'https://dl.example/crates',
    ])
  })
})

describe('maven', () => {
  it('reads mirrors and repositories, no comments, no proxies, no blocked mirror', () => {
    const text = `<settings>
      <!-- <mirror><url>https://comment.example/</url></mirror> -->
      <proxies><proxy><host>proxy.example</host></proxy></proxies>
      <mirrors>
        <mirror><mirrorOf>central</mirrorOf><url>https://mirror.example/m2</url></mirror>
        <mirror><mirrorOf>external:http:*</mirrorOf><url>http://0.0.0.0/</url><blocked>true</blocked></mirror>
      </mirrors>
      <profiles><profile><repositories><repository><url>https://corp.example/m2</url></repository></repositories></profile></profiles>
    </settings>`
    expect(mavenSettingsUrls(text)).toEqual([
      'https://mirror.example/m2',
      'https://corp.example/m2',
    ])
  })
})

describe('gem', () => {
  it('reads the sources', () => {
    expect(gemrcUrls(':sources:\n- https://gems.example/\n:verbose: true\n')).toEqual([
      'https://gems.example/',
    ])
  })
})
