// For tests: the gateway's side of the runner channel on a real unix socket, which can be killed and started again.
// Acknowledges what it got, keeps it in order, and says what is wanted.
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { createLineSplitter, encodeLine } from '../lib/ndjson.ts'
import {
  type Assignment,
  type Directives,
  type GatewayFrame,
  MAX_FRAME_BYTES,
  RUNNER_PROTOCOL,
  type RunnerReport,
  runnerFrameSchema,
  type WorkAssignment,
} from '../protocol/runner-frames.ts'

type ReportType = RunnerReport['type']
type ReportOf<T extends ReportType> = Extract<RunnerReport, { type: T }>

export interface FakeGateway {
  reports: RunnerReport[]
  deltas: string[]
  hellos: { lastN: number }[]
  /** What runners are to work on; until then they wait. */
  assign(work: Omit<WorkAssignment, 'kind'>): void
  /** Resolves when a runner that waits says that it needs nothing but a repository. */
  parked: Promise<void>
  /** Says to runners that wait that their session begins with an agent. */
  needAgent(): void
  direct(directives: Partial<Directives>): void
  /** Resolves with the first report, old or new, of this type that fits. */
  wait<T extends ReportType>(type: T, fits?: (report: ReportOf<T>) => boolean): Promise<ReportOf<T>>
  ofType<T extends ReportType>(type: T): ReportOf<T>[]
  /** Cuts all connections and stops listening. */
  down(): Promise<void>
  up(): Promise<void>
  setGeneration(generation: number): void
  /** While false nothing is acknowledged. */
  setAcknowledging(on: boolean): void
}

/** `prepareServer` may add what else the door answers: requests and CONNECT. */
export async function startFakeGateway(
  socketPath: string,
  prepareServer: (server: Server) => void = () => undefined,
): Promise<FakeGateway> {
  const log = createReportLog()
  const deltas: string[] = []
  const hellos: { lastN: number }[] = []
  const lines = new Set<Duplex>()
  const known = { ackedN: 0, generation: 1, isAcknowledging: true }
  const parked = Promise.withResolvers<void>()
  let assignment: Assignment | undefined
  let directives: Directives = { turn: null, mode: 'work', model: null, answers: {} }
  let needsAgent = false
  let server: Server | undefined

  const takeReport = (n: number, report: RunnerReport) => {
    if (n > known.ackedN + 1 && known.isAcknowledging)
      throw new Error(`report ${n} came after ${known.ackedN}`)
    if (!known.isAcknowledging || n !== known.ackedN + 1) return
    known.ackedN = n
    log.push(report)
  }
  const greet = (): GatewayFrame[] => {
    const { ackedN, generation } = known
    if (!assignment) return [{ type: 'wait', agent: needsAgent }]
    const welcome = { ackedN, generation, assignment }
    return [
      { type: 'welcome', protocol: RUNNER_PROTOCOL, ...welcome },
      { type: 'directives', directives },
    ]
  }
  const answer = (text: string): GatewayFrame[] => {
    const frame = runnerFrameSchema.parse(JSON.parse(text))
    switch (frame.type) {
      case 'hello':
        hellos.push({ lastN: frame.lastN })
        return greet()
      case 'parked':
        parked.resolve()
        return []
      case 'report':
        takeReport(frame.n, frame.report)
        return known.isAcknowledging ? [{ type: 'ack', n: known.ackedN }] : []
      case 'delta':
        deltas.push(frame.text)
        return []
      case 'ping':
        return [{ type: 'pong' }]
    }
  }
  const gateway: FakeGateway = {
    reports: log.reports,
    ofType: log.ofType,
    wait: log.wait,
    deltas,
    hellos,
    parked: parked.promise,
    assign({ repository, identity, sessionUrl }) {
      assignment = { kind: 'work', repository, identity, sessionUrl }
      for (const line of lines) for (const frame of greet()) line.write(encodeLine(frame))
    },
    needAgent() {
      needsAgent = true
      for (const line of lines) for (const frame of greet()) line.write(encodeLine(frame))
    },
    async up() {
      server = createServer()
      prepareServer(server)
      await listen(server, socketPath, lines, answer)
    },
    direct(change) {
      directives = { ...directives, ...change }
      for (const line of lines) line.write(encodeLine({ type: 'directives', directives }))
    },
    async down() {
      const closed = server && once(server, 'close')
      server?.close()
      for (const line of lines) line.destroy()
      await closed
    },
    setGeneration: (next) => {
      known.generation = next
    },
    setAcknowledging: (on) => {
      known.isAcknowledging = on
    },
  }
  await gateway.up()
  return gateway
}

function createReportLog() {
  const reports: RunnerReport[] = []
  const waiting = new Set<() => void>()
  const ofType = <T extends ReportType>(type: T) =>
    reports.filter((report): report is ReportOf<T> => report.type === type)
  const wait: FakeGateway['wait'] = (type, fits = () => true) =>
    new Promise((resolve) => {
      const check = () => {
        const found = ofType(type).find(fits)
        if (!found) return
        waiting.delete(check)
        resolve(found)
      }
      waiting.add(check)
      check()
    })
  const push = (report: RunnerReport) => {
    reports.push(report)
    for (const check of [...waiting]) check()
  }
  return { reports, ofType, wait, push }
}

async function listen(
  server: Server,
  socketPath: string,
  lines: Set<Duplex>,
  answer: (text: string) => GatewayFrame[],
): Promise<void> {
  server.on('upgrade', (_request, line: Duplex, head: Buffer) => {
    lines.add(line)
    line.on('close', () => lines.delete(line))
    line.on('error', () => line.destroy())
    line.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n')
    const split = createLineSplitter(MAX_FRAME_BYTES)
    const take = (chunk: Buffer) => {
      for (const text of split(chunk))
        for (const frame of answer(text)) line.write(encodeLine(frame))
    }
    line.on('data', take)
    take(head)
  })
  server.listen(socketPath)
  await once(server, 'listening')
}
