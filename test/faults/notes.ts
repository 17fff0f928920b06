// Sessions that write notes, one a turn, each committed and pushed; and what has to hold for each of them when it rests, whatever
// was killed meanwhile: nothing is lost, nothing is done twice, and everybody counts the same.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RecordedRequest } from '../../demo/scripted-model.ts'
import { delay } from '../../src/lib/deadline.ts'
import type { SessionEvent } from '../../src/protocol/event.ts'
import type { SessionState, Usage } from '../../src/protocol/session.ts'
import { eventsOf } from '../e2e/installation.ts'
import type { Bench as WholeBench } from './bench.ts'
import { findInside } from './processes.ts'

type Bench = Pick<WholeBench, 'errand' | 'forge'>

export interface NoteSession {
  id: string
  branch: string
  /** Of its log, when it was last asked. */
  lastSeq: number
  /** In the order in which they were asked for. */
  notes: string[]
  /** Somebody presses Retry when its sandbox, killed while it was being prepared, failed. */
  mayRetry: boolean
  /** How often a sandbox that was lost while it rested was started again, by a command. */
  wakes: number
  /** From when until when something was killed, as `performance.now()`. */
  kills: { from: number; to: number }[]
}

/** Longer than a worker's lease, after which its work is taken over. */
const SETTLE_LIMIT_MS = 90_000
const LOOK_MS = 100
/** An answer that was written so shortly before a kill may not have been read, and a request so shortly after it have been sent before. */
const UNREAD_MS = 1_000

export async function startNote(
  { errand, forge }: Bench,
  note: string,
  how = 'add the note',
): Promise<NoteSession> {
  const source = { kind: 'remote' as const, url: forge.urlWithCredential }
  const session = await errand.client.createSession({ prompt: `${how} ${note}`, source })
  return {
    id: session.id,
    branch: session.repository.branch,
    lastSeq: 0,
    notes: [note],
    mayRetry: false,
    wakes: 0,
    kills: [],
  }
}

export async function askForNote(
  { errand }: Bench,
  session: NoteSession,
  note: string,
  how = 'add the note',
): Promise<void> {
  const { lastSeq } = await errand.client.getSession(session.id)
  await errand.client.sendMessage(session.id, { text: `${how} ${note}` })
  session.lastSeq = lastSeq
  session.notes.push(note)
}

/** `act` kills one process, or one after the other. */
export async function killing(sessions: NoteSession[], act: () => Promise<void>): Promise<void> {
  const from = performance.now()
  await act()
  const to = performance.now()
  for (const session of sessions) session.kills.push({ from, to })
}

/** Whether it was under way at a kill: then it may be counted or not. */
function isDoubtful({ kills }: NoteSession, { receivedAt, answeredAt }: RecordedRequest): boolean {
  return kills.some(
    ({ from, to }) => (answeredAt ?? from) > from - UNREAD_MS && receivedAt < to + UNREAD_MS,
  )
}

/** Resolves when the session rests and everything holds; rejects with what does not, after a time. */
export async function settle(bench: Bench, session: NoteSession): Promise<void> {
  const until = performance.now() + SETTLE_LIMIT_MS
  for (;;) {
    const problems = await findProblems(bench, session).catch((error: unknown) => [String(error)])
    if (problems.length === 0) return
    if (performance.now() > until) {
      const story = await tellStory(bench, session.id).catch(String)
      throw new Error([`${session.id} (${session.notes}):`, ...problems, story].join('\n'))
    }
    await delay(LOOK_MS)
  }
}

export async function readAllEvents(
  { errand }: Pick<Bench, 'errand'>,
  id: string,
): Promise<SessionEvent[]> {
  const events: SessionEvent[] = []
  for (let afterSeq = 0; ; ) {
    const page = await errand.client.readEvents(id, { after: afterSeq, limit: 1000 })
    events.push(...page.events)
    if (!page.more) return events
    afterSeq = page.through
  }
}

/** The log in short, to see how it came to this. */
export async function tellStory(bench: Pick<Bench, 'errand'>, id: string): Promise<string> {
  const events = await readAllEvents(bench, id)
  return events
    .filter(({ body }) => !['phase.logged', 'assistant.thinking'].includes(body.type))
    .map(({ seq, at, body }) => `${seq} ${at.slice(14, 23)} ${JSON.stringify(body).slice(9, 400)}`)
    .join('\n')
}

async function findProblems(bench: Bench, session: NoteSession): Promise<string[]> {
  const state = await bench.errand.client.getSession(session.id)
  if (state.status === 'failed' && session.mayRetry) {
    session.mayRetry = false
    await bench.errand.client.actOnSession(session.id, 'retry')
  }
  if (state.status !== 'idle') return [`the session is ${state.status}`]
  if (state.sandbox.state !== 'ready') {
    session.wakes++
    await bench.errand.client.sendMessage(session.id, { text: 'true', kind: 'command' })
    return ['the sandbox is being started']
  }
  const events = await readAllEvents(bench, session.id)
  return [
    ...findTurnProblems(events, session),
    ...findTranscriptProblems(bench, events, session),
    ...(await findPushProblems(bench, events, { session, state })),
    ...findUsageProblems(bench, events, { session, state }),
  ]
}

function findTurnProblems(events: SessionEvent[], { notes, wakes }: NoteSession): string[] {
  const seqs = events.map(({ seq }) => seq)
  const asked = eventsOf(events, 'message.queued').map(({ turnId }) => turnId)
  const completed = eventsOf(events, 'turn.completed').map(({ turnId }) => turnId)
  const others = events.filter(({ body }) => /^turn\.(failed|interrupted)$/.test(body.type))
  return [
    ...differences('numbers of events', {
      found: seqs,
      expected: seqs.map((_, index) => index + 1),
    }),
    ...differences('messages', { found: [asked.length], expected: [notes.length + wakes] }),
    ...differences('completed turns', { found: completed, expected: asked }),
    ...others.map(({ body }) => `a turn ended otherwise: ${JSON.stringify(body)}`),
  ]
}

const SAID = ['assistant.text', 'assistant.thinking', 'tool.called', 'tool.returned'] as const

function findTranscriptProblems(
  bench: Bench,
  events: SessionEvent[],
  { id }: NoteSession,
): string[] {
  const told = SAID.flatMap((type) => eventsOf(events, type).map(({ uuid }) => `${type} ${uuid}`))
  const written = readTranscripts(bench, id).flatMap(({ text }) => text.split('\n').flatMap(saidIn))
  return differences('messages of the transcript', {
    found: told.toSorted(),
    expected: written.toSorted(),
  })
}

const KINDS: Record<string, (typeof SAID)[number]> = {
  text: 'assistant.text',
  thinking: 'assistant.thinking',
  tool_use: 'tool.called',
  tool_result: 'tool.returned',
}

/** What a line of the transcript says: not a prompt, and not Claude Code's own filling. */
function saidIn(line: string): string[] {
  if (!line.includes('"uuid"')) return []
  const { type, uuid, message, isMeta, isSidechain } = JSON.parse(line)
  if ((type !== 'assistant' && type !== 'user') || isMeta || isSidechain) return []
  if (message.model === '<synthetic>' || typeof message.content === 'string') return []
  return message.content.flatMap((block: { type: string }) =>
    type === 'user' && block.type === 'text' ? [] : [`${KINDS[block.type]} ${uuid}`],
  )
}

/** The agent's own record, read through the root of its sandbox. */
function readTranscripts({ errand }: Bench, id: string): { name: string; text: string }[] {
  const container = findInside(errand.dataDir, id, 'container')
  const projects = `/proc/${container}/root/root/.claude/projects`
  return readdirSync(projects).flatMap((folder) =>
    readdirSync(join(projects, folder))
      .filter((name) => name.endsWith('.jsonl'))
      .map((name) => ({
        name: name.slice(0, -'.jsonl'.length),
        text: readFileSync(join(projects, folder, name), 'utf8'),
      })),
  )
}

async function findPushProblems(
  { errand, forge }: Bench,
  events: SessionEvent[],
  { session, state }: { session: NoteSession; state: SessionState },
): Promise<string[]> {
  const { branch, notes, id } = session
  const told = events.flatMap(({ body }) =>
    (body.type === 'push.accepted' && body.outward === 'forwarded') ||
    body.type === 'push.forwarded'
      ? [body.commit]
      : [],
  )
  const taken = await forge.taken(branch)
  const log = await forge.git('log', '--reverse', '--format=%s', `main..${branch}`)
  const diff = await errand.client.getDiff(id)
  const commits = notes.map((note) => `add the note ${note}`)
  const files = await forge.git('ls-tree', '--name-only', branch, 'notes/')
  return [
    ...differences('pushes', { found: told, expected: taken }),
    ...differences('commits outside', { found: log.split('\n').map(plain), expected: commits }),
    ...differences('commits of the session', {
      found: diff.commits.map(({ subject }) => plain(subject)).toReversed(),
      expected: commits,
    }),
    ...differences('files', {
      found: files.split('\n').filter((name) => name.endsWith('.txt')),
      expected: notes.map((note) => `notes/${note}.txt`).toSorted(),
    }),
    ...differences('what is outside', {
      found: [state.outward.state],
      expected: ['forwarded'],
    }),
  ]
}

/** A commit that the runner made is called as the prompt, which may say how. */
const plain = (subject: string) => subject.replace(/^\w+ly add/, 'add')

interface Counted {
  requests: number
  inputTokens: number
  outputTokens: number
  cacheReadTokens: number
  cacheCreationTokens: number
}

/** Equal, but for answers that were under way at a kill: of those at most what the model says, at least nothing. */
function findUsageProblems(
  bench: Bench,
  events: SessionEvent[],
  { session, state }: { session: NoteSession; state: SessionState },
): string[] {
  const conversations = readTranscripts(bench, session.id).map(({ name }) => name)
  const served = bench.errand.model.requests.filter(
    ({ headers, usage }) =>
      usage && conversations.includes(String(headers['x-claude-code-session-id'])),
  )
  const most = sumOf(served)
  const least = sumOf(served.filter((request) => !isDoubtful(session, request)))
  const counted: Usage = state.usage
  const ids = eventsOf(events, 'model.used').map(({ requestId }) => requestId)
  const problems = (Object.keys(most) as (keyof Counted)[]).flatMap((name) =>
    counted[name] < least[name] || counted[name] > most[name]
      ? [`${name}: counted ${counted[name]}, served ${least[name]} to ${most[name]}`]
      : [],
  )
  return [
    ...problems,
    ...differences('counted requests', { found: ids, expected: [...new Set(ids)] }),
  ]
}

function sumOf(requests: RecordedRequest[]): Counted {
  const sum = (value: (usage: NonNullable<RecordedRequest['usage']>) => number) =>
    requests.reduce((total, { usage }) => total + (usage ? value(usage) : 0), 0)
  return {
    requests: requests.length,
    inputTokens: sum((usage) => usage.input_tokens),
    outputTokens: sum((usage) => usage.output_tokens),
    cacheReadTokens: sum((usage) => usage.cache_read_input_tokens),
    cacheCreationTokens: sum((usage) => usage.cache_creation_input_tokens),
  }
}

function differences<T>(what: string, { found, expected }: { found: T[]; expected: T[] }) {
  if (JSON.stringify(found) === JSON.stringify(expected)) return []
  const missing = expected.filter((item) => !found.includes(item))
  const extra = found.filter((item) => !expected.includes(item))
  const order = missing.length + extra.length === 0 ? ` found ${JSON.stringify(found)}` : ''
  return [`${what}: missing ${JSON.stringify(missing)}, too many ${JSON.stringify(extra)}${order}`]
}
