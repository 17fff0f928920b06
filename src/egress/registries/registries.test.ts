import { deflateRawSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { type DiscoveryDeps, discoverRegistries } from './registries.ts'

const never = new AbortController().signal

/** Files by path; `links` lead from a path to another. */
function fakeImage(
  files: Record<string, string | Buffer>,
  {
    links = {},
    fetchPage,
  }: { links?: Record<string, string>; fetchPage?: DiscoveryDeps['fetchPage'] } = {},
): DiscoveryDeps {
  return {
    files: {
      read: async (path) => (files[path] === undefined ? null : Buffer.from(files[path])),
      listFolder: async (path) => [
        ...new Set(
          Object.keys(files)
            .filter((name) => name.startsWith(`${path}/`))
            .map((name) => name.slice(path.length + 1).split('/', 1)[0] ?? ''),
        ),
      ],
      resolve: async (path) => links[path] ?? (files[path] === undefined ? null : path),
    },
    fetchPage:
      fetchPage ??
      (async (url) => {
        if (url === 'https://npm.example/npm/latest')
          return JSON.stringify({ dist: { tarball: 'https://npm.example/npm/-/npm.tgz' } })
        if (url === 'https://cargo.example/config.json') return '{"dl":"https://dl.example/crates"}'
        return '<a href="https://files.example/pip.whl">'
      }),
  }
}

/** A zip archive with one deflated file. */
function zipOf(name: string, text: string): Buffer {
  const content = deflateRawSync(Buffer.from(text))
  const local = Buffer.alloc(30)
  local.writeUInt32LE(0x04034b50)
  local.writeUInt16LE(name.length, 26)
  const entry = Buffer.alloc(46)
  entry.writeUInt32LE(0x02014b50)
  entry.writeUInt16LE(8, 10)
  entry.writeUInt32LE(content.length, 20)
  entry.writeUInt16LE(name.length, 28)
  const before = Buffer.concat([local, Buffer.from(name), content])
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50)
  end.writeUInt32LE(before.length, 16)
  return Buffer.concat([before, entry, Buffer.from(name), end])
}

const brief = ({ registries }: { registries: { tool: string; host: string; port: number }[] }) =>
  registries.map(({ tool, host, port }) => `${tool} ${host}:${port}`)

const NPM = {
  '/usr/lib/node_modules/npm/node_modules/@npmcli/config/lib/definitions/definitions.js': `
  cert: new Definition('cert', { description: 'when accessing the registry', default: null }),
  registry: new Definition('registry', {
    default: 'https://npm.example/',
    type: url,`,
}
const NPM_LINK = { '/usr/bin/npm': '/usr/lib/node_modules/npm/bin/npm-cli.js' }
const PIP = {
  '/usr/lib/python3/dist-packages/pip/_internal/models/index.py': `
PyPI = PackageIndex("https://pip.example/", file_storage_domain="files.example")
TestPyPI = PackageIndex("https://test.example/", file_storage_domain="t.example")`,
}

describe('discoverRegistries', () => {
  it('finds what each tool uses by itself, reads apt, and follows to where files are', async () => {
    const image = fakeImage(
      {
        ...NPM,
        ...PIP,
        '/usr/bin/cargo': '\x7fELF…sparse+https://cargo.example/usually…',
        '/usr/lib/go-1.24/go.env': 'GOPROXY=https://go.example,direct\nGOSUMDB=sum.example\n',
        '/usr/share/maven/lib/maven-model-builder-3.jar': zipOf(
          'org/apache/maven/model/pom-4.0.0.xml',
          '<repository><url>https://maven.example/maven2</url></repository>',
        ),
        '/usr/share/gradle/lib/gradle-core-api-4.4.1.jar': zipOf(
          'org/gradle/api/artifacts/ArtifactRepositoryContainer.class',
          '\x01\x00\x20https://gradle.example/maven2/\x01\x00',
        ),
        '/usr/lib/ruby/3.3.0/rubygems/defaults.rb': '    %w[https://gems.example/]\n',
        '/usr/share/php/Composer/Config.php': `'packagist.org' => [
            'type' => 'composer',
            'url' => 'https://composer.example',`,
        '/etc/apt/sources.list.d/a.sources': 'Types: deb\nURIs: http://apt.example/debian\n',
        '/etc/apt/sources.list.d/b.list': 'deb https://b.example/ x y\n',
        '/etc/apt/sources.list.d/c.list.save': 'deb https://saved.example/ x y\n',
      },
      {
        links: {
          ...NPM_LINK,
          '/usr/bin/go': '/usr/lib/go-1.24/bin/go',
          '/usr/bin/mvn': '/usr/share/maven/bin/mvn',
          '/usr/bin/gradle': '/usr/share/gradle/bin/gradle',
        },
      },
    )
    const found = await discoverRegistries(image, never)
    expect(brief(found)).toEqual([
      'npm npm.example:443',
      'pip pip.example:443',
      'cargo cargo.example:443',
      'go go.example:443',
      'go sum.example:443',
      'maven maven.example:443',
      'gradle gradle.example:443',
      'gem gems.example:443',
      'composer composer.example:443',
      'apt b.example:443',
      'apt apt.example:80',
      'pip files.example:443',
      'cargo dl.example:443',
    ])
    expect(found.warnings).toEqual([])
  })

  it('finds the default of pip in the wheel that venv uses, and those of an old go in its program', async () => {
    const image = fakeImage({
      '/usr/lib/python3.11/os.py': '',
      '/usr/share/python-wheels/pip-23.whl': zipOf(
        'pip/_internal/models/index.py',
        'PyPI = PackageIndex("https://wheel.example/")',
      ),
      '/usr/bin/go': `\x7fELF https://go.example,direct sum.example+033de0ae+${'A'.repeat(44)}`,
    })
    const found = await discoverRegistries(image, never)
    expect(brief(found)).toEqual([
      'pip wheel.example:443',
      'go go.example:443',
      'go sum.example:443',
      'pip files.example:443',
    ])
  })

  it('takes what the configuration says instead of the default', async () => {
    const image = fakeImage(
      {
        ...NPM,
        ...PIP,
        '/etc/npmrc': 'registry=http://user:secret@corp.example:4873/\n',
        '/etc/pip.conf': '[global]\nindex-url = https://corp.example/simple\n',
        '/root/.m2/settings.xml': '<mirror><url>https://corp.example/m2</url></mirror>',
      },
      { links: NPM_LINK, fetchPage: async () => '{}' },
    )
    const found = await discoverRegistries(image, never)
    expect(brief(found)).toEqual([
      'npm corp.example:4873',
      'pip corp.example:443',
      'maven corp.example:443',
    ])
    expect(JSON.stringify(found)).not.toContain('secret')
  })

  it('leaves out what fails, says so, and does without tools that are not there', async () => {
    expect(await discoverRegistries(fakeImage({}), never)).toEqual({ registries: [], warnings: [] })
    const image = fakeImage({ ...NPM, ...PIP }, { links: NPM_LINK })
    image.files.resolve = () => Promise.reject(new Error('disk broke'))
    const partly = await discoverRegistries(image, never)
    expect(brief(partly)).toContain('pip pip.example:443')
    expect(partly.warnings).toContain('the registry of npm: disk broke')
    const offline = fakeImage(
      { ...NPM, ...PIP },
      { links: NPM_LINK, fetchPage: async () => Promise.reject(new Error('offline')) },
    )
    const unread = await discoverRegistries(offline, never)
    expect(brief(unread)).toEqual(['npm npm.example:443', 'pip pip.example:443'])
    expect(unread.warnings).toHaveLength(2)
  })
})
