import { describe, expect, it } from 'vitest'
import { type DiscoveryDeps, discoverRegistries } from './registries.ts'

const never = new AbortController().signal

function fakeImage(
  files: Record<string, string>,
  overrides: Partial<DiscoveryDeps> = {},
): DiscoveryDeps {
  return {
    readText: async (path) => files[path] ?? null,
    listFolder: async (path) =>
      Object.keys(files)
        .filter((name) => name.startsWith(`${path}/`))
        .map((name) => name.slice(path.length + 1)),
    run: async (command) => {
      if (command === 'npm') return JSON.stringify({ registry: 'https://npm.example/' })
      return 'https://pip.example/simple\n'
    },
    fetchPage: async (url) => {
      if (url === 'https://npm.example/npm/latest') {
        return JSON.stringify({ dist: { tarball: 'https://npm.example/npm/-/npm.tgz' } })
      }
      return '<a href="https://files.example/pip.whl">'
    },
    ...overrides,
  }
}

const brief = ({ registries }: { registries: { tool: string; host: string; port: number }[] }) =>
  registries.map(({ tool, host, port }) => `${tool} ${host}:${port}`)

describe('discoverRegistries', () => {
  it('asks the tools for their defaults, reads apt, and follows to where files are', async () => {
    const image = fakeImage({
      '/etc/apt/sources.list.d/a.sources': 'Types: deb\nURIs: http://apt.example/debian\n',
      '/etc/apt/sources.list.d/b.list': 'deb https://b.example/ x y\n',
      '/etc/apt/sources.list.d/c.list.save': 'deb https://saved.example/ x y\n',
    })
    const found = await discoverRegistries(image, never)
    expect(brief(found)).toEqual([
      'npm npm.example:443',
      'pip pip.example:443',
      'apt b.example:443',
      'apt apt.example:80',
      'pip files.example:443',
    ])
    expect(found.warnings).toEqual([])
  })

  it('takes configured registries, and asks pip for no default when it has an index', async () => {
    const asked: string[] = []
    const image = fakeImage(
      {
        '/etc/npmrc': 'registry=http://user:secret@corp.example:4873/\n',
        '/etc/pip.conf': '[global]\nindex-url = https://corp.example/simple\n',
      },
      {
        run: async (command) => {
          asked.push(command)
          return command === 'npm' ? '{"registry":"http://corp.example:4873/"}' : null
        },
        fetchPage: async () => '{}',
      },
    )
    const found = await discoverRegistries(image, never)
    expect(brief(found)).toEqual(['npm corp.example:4873', 'pip corp.example:443'])
    expect(asked).toEqual(['npm'])
    expect(JSON.stringify(found)).not.toContain('secret')
  })

  it('leaves out what fails, says so, and does without tools that are not there', async () => {
    const image = fakeImage(
      {},
      {
        run: async (command) => {
          if (command === 'npm') throw new Error('npm broke')
          return null
        },
      },
    )
    const found = await discoverRegistries(image, never)
    expect(found).toEqual({ registries: [], warnings: ['the registry of npm: npm broke'] })
    const offline = fakeImage({}, { fetchPage: async () => Promise.reject(new Error('offline')) })
    const partly = await discoverRegistries(offline, never)
    expect(brief(partly)).toEqual(['npm npm.example:443', 'pip pip.example:443'])
    expect(partly.warnings).toHaveLength(2)
  })
})
