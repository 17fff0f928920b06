// Throughput of a big download out of a sandbox, with CONNECT through the runner and the gateway, against the same download
// straight from this machine, and through tinyproxy. Once with nothing in between but memory, once over a link of 1 Gbit/s.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { runChecked } from '../src/lib/process.ts'
import { createRepositoryUpload } from '../test/e2e/upload.ts'
import type { BenchContext, Benchmark } from './benchmark.ts'
import { type CommandSession, createCommandSession } from './command-turn.ts'
import { compare, type Measure } from './compare.ts'
import { createFarHost } from './far-host.ts'
import { createFigure, type Figure } from './figure.ts'
import { type BenchErrand, endChild, startErrand, TURN_ENDS } from './installation.ts'
import { createHookRepository } from './start-session.ts'

const GIGABIT = 1000
const FAST_BYTES = 1 << 30
const GIGABIT_BYTES = 64 << 20
const DOOR_PROXY = 'http://errand.internal:80'

export const download: Benchmark = {
  name: 'download',
  about: 'throughput of a download through the gateway, against direct and tinyproxy',
  run: async (context) => {
    const fast = await createFarHost(context)
    const gigabit = await createFarHost(context, { megabits: GIGABIT })
    const hosts = [fast.address, gigabit.address]
    const errand = await startErrand(context, {
      ERRAND_ALLOWED_NETWORKS: hosts.map((host) => `${host}=${host}/32`).join(','),
    })
    const session = await startSession(context, errand, hosts)
    const tinyproxy = await startTinyproxy(context)
    const take = async (name: string, url: string): Promise<Figure[]> => {
      const inside: Measure = async () =>
        speedOf(await session.run(`curl ${through(DOOR_PROXY).join(' ')} ${url}`))
      const outside = (proxy?: string): Measure => {
        const args = [...through(proxy), url]
        return async () =>
          speedOf(await runChecked('curl', args, { env: { PATH: '/usr/bin:/bin' } }))
      }
      const [ours, direct, others] = await compare([inside, outside(), outside(tinyproxy)], {
        runs: context.runs,
        onRound: (round) => context.say(`${name}: round ${round + 1} of ${context.runs}`),
      })
      const figure = {
        unit: 'MB/s',
        benchmark: 'download',
        other: { name: 'direct', samples: direct },
      }
      return [
        createFigure({ ...figure, name, ours }),
        createFigure({ ...figure, name: `${name}-tinyproxy`, ours: others }),
      ]
    }
    return [
      ...(await take('download', `http://${fast.address}/${FAST_BYTES}`)),
      ...(await take('download-gigabit', `http://${gigabit.address}/${GIGABIT_BYTES}`)),
    ]
  },
}

async function startSession(
  context: BenchContext,
  errand: BenchErrand,
  domains: string[],
): Promise<CommandSession> {
  context.say('starting a session')
  const source = await createRepositoryUpload(errand, await createHookRepository(context))
  const network = { level: 'custom' as const, domains }
  const fields = { prompt: 'true', kind: 'command' as const, source, network }
  const { id } = await errand.client.createSession(fields)
  const events = await errand.follow(id, TURN_ENDS)
  return createCommandSession(errand, id, events.at(-1)?.seq ?? 0)
}

/** Arguments of curl: a tunnel through the proxy, or no proxy whatever the variables say. */
function through(proxy?: string): string[] {
  const way = proxy ? ['--noproxy', "''", '--proxytunnel', '--proxy', proxy] : ['--noproxy', '*']
  const format = '%{http_code}:%{size_download}:%{speed_download}'
  return ['--silent', '--show-error', '--output', '/dev/null', '--write-out', format, ...way]
}

/** MB/s from what curl wrote; refuses an answer that is not the whole file. */
function speedOf(output: string): number {
  const [status, size, speed] = output.trim().split(':').map(Number)
  if (status !== 200 || (size !== FAST_BYTES && size !== GIGABIT_BYTES) || speed === undefined)
    throw new Error(`the download did not go well: ${output}`)
  return speed / 1e6
}

async function startTinyproxy({ folder, shutdown }: BenchContext): Promise<string> {
  const port = await findFreePort()
  const file = join(folder, 'tinyproxy.conf')
  const lines = [
    `Port ${port}`,
    'Listen 127.0.0.1',
    'Allow 127.0.0.1',
    'Timeout 600',
    'LogLevel Critical',
  ]
  await writeFile(file, `${lines.join('\n')}\n`)
  const child = spawn('tinyproxy', ['-d', '-c', file], { stdio: 'ignore' })
  shutdown.add('tinyproxy', () => endChild(child))
  const failed = once(child, 'error').then(([error]) => Promise.reject(error))
  await Promise.race([once(child, 'spawn'), failed])
  return `http://127.0.0.1:${port}`
}

async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
