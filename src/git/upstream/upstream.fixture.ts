// For conformance suites: a git host of its own on loopback (git http-backend behind Basic auth), and git as an agent runs it.
import { spawn } from 'node:child_process'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { type RunResult, runProcess } from '../../lib/process.ts'

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const IDENTITY = {
  GIT_AUTHOR_NAME: 'Ada Agent',
  GIT_AUTHOR_EMAIL: 'ada@example.org',
  GIT_COMMITTER_NAME: 'Ada Agent',
  GIT_COMMITTER_EMAIL: 'ada@example.org',
}

export interface Workbench {
  /** Runs git in a folder; what it prints, whatever its exit code. */
  run(folder: string, args: string[], env?: Record<string, string>): Promise<RunResult>
  /** Runs git, which has to succeed; trimmed stdout. */
  git(folder: string, args: string[], env?: Record<string, string>): Promise<string>
  /** Writes files, commits them, and answers with the commit. */
  commit(folder: string, files: Record<string, string | Buffer>, message?: string): Promise<string>
}

export function createWorkbench(home: string): Workbench {
  const run: Workbench['run'] = (cwd, args, env = {}) =>
    runProcess('git', args, {
      cwd,
      env: {
        PATH,
        HOME: home,
        LC_ALL: 'C',
        GIT_TERMINAL_PROMPT: '0',
        GIT_CONFIG_NOSYSTEM: '1',
        ...IDENTITY,
        ...env,
      },
    })
  const git: Workbench['git'] = async (folder, args, env) => {
    const { exitCode, stdout, stderr } = await run(folder, args, env)
    if (exitCode !== 0) throw new Error(`git ${args.join(' ')}: ${stderr}${stdout}`)
    return stdout.trim()
  }
  return {
    run,
    git,
    commit: async (folder, files, message = 'change') => {
      for (const [name, content] of Object.entries(files)) {
        await mkdir(dirname(join(folder, name)), { recursive: true })
        await writeFile(join(folder, name), content)
      }
      await git(folder, ['add', '--all'])
      await git(folder, ['commit', '--quiet', '-m', message])
      return git(folder, ['rev-parse', 'HEAD'])
    },
  }
}

export interface TestUpstream {
  url: string
  /** The bare repository behind the url. */
  directory: string
  /** A checkout of it whose pushes go there directly. */
  checkout: string
  requests: { path: string; authorization: string | undefined }[]
  /** Changes how it answers; `serve` is how it begins. */
  answer: (incoming: IncomingMessage, outgoing: ServerResponse) => void
  serve: (incoming: IncomingMessage, outgoing: ServerResponse) => void
  /** Makes it refuse every push with these words. */
  refusePushes(words: string): Promise<void>
  /** Nobody answers any more. */
  close(): void
  /** Listens at the same address again. */
  reopen(): Promise<void>
}

export async function createTestUpstream(
  root: string,
  options: {
    workbench: Workbench
    user?: string
    password?: string
    empty?: boolean
    /** Address to listen on; loopback unless told. */
    host?: string
  },
): Promise<TestUpstream> {
  const { workbench, user, password, host = '127.0.0.1' } = options
  const directory = join(root, 'project.git')
  const checkout = join(root, 'checkout')
  await mkdir(root, { recursive: true })
  await workbench.git(root, ['init', '--quiet', '--bare', '-b', 'main', directory])
  await workbench.git(directory, ['config', 'http.receivepack', 'true'])
  await workbench.git(root, ['clone', '--quiet', directory, checkout])
  await workbench.git(checkout, ['checkout', '--quiet', '-B', 'main'])
  if (!options.empty) {
    await workbench.commit(checkout, { 'README.md': 'hello\n' }, 'first')
    await workbench.git(checkout, ['push', '--quiet', 'origin', 'main'])
  }
  const expected =
    user === undefined
      ? undefined
      : `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  const serve: TestUpstream['serve'] = (incoming, outgoing) => {
    if (expected !== undefined && incoming.headers.authorization !== expected) {
      incoming.resume()
      outgoing.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end('no\n')
      return
    }
    runBackend(root, incoming, outgoing)
  }
  const server = createServer((incoming, outgoing) => {
    upstream.requests.push({
      path: incoming.url ?? '',
      authorization: incoming.headers.authorization,
    })
    upstream.answer(incoming, outgoing)
  })
  const listen = (port: number) =>
    new Promise<void>((resolve) => server.listen(port, host, () => resolve()))
  await listen(0)
  const { port } = server.address() as AddressInfo
  const upstream: TestUpstream = {
    url: `http://${host}:${port}/project.git`,
    directory,
    checkout,
    requests: [],
    serve,
    answer: serve,
    refusePushes: async (words) => {
      const hook = join(directory, 'hooks', 'pre-receive')
      await mkdir(dirname(hook), { recursive: true })
      await writeFile(hook, `#!/bin/sh\necho '${words}' >&2\nexit 1\n`)
      await chmod(hook, 0o755)
    },
    reopen: () => listen(port),
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
  return upstream
}

/** CGI (RFC 3875) as far as git http-backend needs it. */
function runBackend(root: string, incoming: IncomingMessage, outgoing: ServerResponse): void {
  const url = new URL(incoming.url ?? '/', 'http://test')
  const child = spawn('git', ['http-backend'], {
    env: {
      PATH,
      GIT_PROJECT_ROOT: root,
      GIT_HTTP_EXPORT_ALL: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_CONFIG_NOSYSTEM: '1',
      REQUEST_METHOD: incoming.method ?? 'GET',
      PATH_INFO: url.pathname,
      QUERY_STRING: url.search.slice(1),
      CONTENT_TYPE: incoming.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: String(incoming.headers['content-encoding'] ?? ''),
      HTTP_GIT_PROTOCOL: String(incoming.headers['git-protocol'] ?? ''),
      REMOTE_USER: 'tester',
      REMOTE_ADDR: '127.0.0.1',
    },
  })
  incoming.pipe(child.stdin)
  child.stdin.on('error', () => undefined)
  let head: Buffer | undefined = Buffer.alloc(0)
  child.stdout.on('data', (chunk: Buffer) => {
    if (head === undefined) {
      outgoing.write(chunk)
      return
    }
    head = Buffer.concat([head, chunk])
    const end = head.indexOf('\r\n\r\n')
    if (end === -1) return
    writeCgiHead(outgoing, head.subarray(0, end).toString('latin1'))
    outgoing.write(head.subarray(end + 4))
    head = undefined
  })
  child.on('close', () => outgoing.end())
}

function writeCgiHead(outgoing: ServerResponse, text: string): void {
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':')
    const name = line.slice(0, colon)
    const value = line.slice(colon + 1).trim()
    if (name.toLowerCase() === 'status') outgoing.statusCode = Number(value.slice(0, 3))
    else outgoing.setHeader(name, value)
  }
}
