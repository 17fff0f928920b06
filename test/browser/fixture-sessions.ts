// Sessions for the tests of the page, written as the events that the server would send.
import type { Place } from '../../src/protocol/api.ts'
import type { EventBody, EventSource, SessionEvent } from '../../src/protocol/event.ts'

export interface FixtureSession {
  id: string
  events: SessionEvent[]
  /** In the queue of sessions. */
  place?: Place | null
}
export type Fact = EventBody | [EventSource, EventBody]

const sessionId = (letter: string) => `s_${letter.repeat(20).slice(0, 20)}`
export const turnId = (letter: string) => `t_${letter.repeat(20).slice(0, 20)}`
const BRANCH = 'errand/fix-cart-discount'

const MINUTE_MS = 60_000

export function createSession(options: {
  letter: string
  title: string
  facts?: Fact[]
  /** How long ago it began. */
  ageMs?: number
  stepMs?: number
  prompt?: string
  model?: string | null
}): FixtureSession {
  const { letter, title, facts = [], ageMs = 5 * MINUTE_MS, stepMs = 700 } = options
  const session: FixtureSession = { id: sessionId(letter), events: [] }
  const begin = Date.now() - ageMs
  const all: Fact[] = [
    created(title, options.model ?? null),
    queued(letter, options.prompt ?? title),
    ['system', started(letter)],
    ...facts,
  ]
  all.forEach((fact, index) => {
    append(session, fact, new Date(begin + index * stepMs).toISOString())
  })
  return session
}

export function append(
  session: FixtureSession,
  fact: Fact,
  at = new Date().toISOString(),
): SessionEvent {
  const [source, body] = Array.isArray(fact) ? fact : (['claimed', fact] as const)
  const event = { sessionId: session.id, seq: session.events.length + 1, at, source, body }
  session.events.push(event)
  return event
}

function created(title: string, model: string | null): EventBody {
  return {
    type: 'session.created',
    ownerId: 'owner',
    title,
    repository: {
      source: { kind: 'remote', url: 'https://git.example.com/shop/cart.git', credentialId: null },
      name: 'cart',
      url: 'https://git.example.com/shop/cart.git',
      baseBranch: null,
      commit: null,
      branch: BRANCH,
    },
    environment: DEFAULT_ENVIRONMENT,
    driver: 'oci',
    mode: 'work',
    model,
  }
}

export const DEFAULT_ENVIRONMENT = {
  id: 'e_aaaaaaaaaaaaaaaaaaaa',
  archivedAt: null,
  name: 'Default',
  image: { kind: 'host' as const },
  network: { level: 'trusted' as const, domains: [], includeTrusted: false },
  variables: {},
  setup: '',
  setupInputs: [],
  limits: { memoryBytes: 4 * 1024 ** 3, cpus: 2, processes: 2048, diskBytes: 20 * 1024 ** 3 },
  traffic: { connectionsPerSecond: 100, bytesPerDay: 100 * 1024 ** 3 },
  git: { branchTemplate: 'errand/{slug}', identity: null, rewrite: false },
}

export const queued = (letter: string, text: string): EventBody => ({
  ...{ type: 'message.queued', turnId: turnId(letter), kind: 'agent', text },
})

const PHASES = [
  ['fetch', 420, ['From https://git.example.com/shop/cart', ' * [new branch] main -> main']],
  ['sandbox', 96, []],
  ['checkout', 180, ['Switched to a new branch']],
  ['environment', 12, []],
  ['agent', 610, ['claude 2.1.0 started']],
] as const

export const preparing: Fact[] = [
  { type: 'sandbox.preparing', generation: 1, resume: false },
  { type: 'phase.started', phase: 'fetch', generation: 1 },
]

export const prepared: Fact[] = [
  { type: 'sandbox.preparing', generation: 1, resume: false },
  ...PHASES.flatMap(([phase, durationMs, lines]): Fact[] => [
    { type: 'phase.started', phase, generation: 1 },
    ...(lines.length > 0
      ? [{ type: 'phase.logged' as const, phase, generation: 1, lines: [...lines] }]
      : []),
    { type: 'phase.completed', phase, generation: 1, durationMs },
  ]),
  ['system', { type: 'sandbox.isolated', isolation: 'oci: own user range, namespaces, seccomp' }],
  {
    type: 'repository.resolved',
    commit: 'c0ffee0000000000000000000000000000000000',
    baseBranch: 'main',
  },
  { type: 'sandbox.ready', generation: 1 },
]

let uuids = 0
const uuid = () => `uuid-${++uuids}`

export const text = (letter: string, written: string): EventBody => ({
  ...{ type: 'assistant.text', turnId: turnId(letter), uuid: uuid(), text: written },
})
const thought = (letter: string, written: string): EventBody => ({
  ...{ type: 'assistant.thinking', turnId: turnId(letter), uuid: uuid(), text: written },
})

export function tool(
  letter: string,
  name: string,
  input: unknown,
  result: { output?: string; isError?: boolean } | null = {},
): EventBody[] {
  const toolUseId = uuid()
  const common = { turnId: turnId(letter), uuid: toolUseId, toolUseId }
  const called: EventBody = { ...common, type: 'tool.called', name, input, parentToolUseId: null }
  if (result === null) return [called]
  const { output = '', isError = false } = result
  return [called, { ...common, type: 'tool.returned', output, isError, truncated: false }]
}

const used = (inputTokens: number, costUsd: number): Fact => [
  'seen',
  {
    type: 'model.used',
    ...{ requestId: uuid(), model: 'claude-sonnet', inputTokens, outputTokens: 812 },
    ...{ cacheReadTokens: 14_200, cacheCreationTokens: 3100, costUsd, durationMs: 2100 },
  },
]

const started = (letter: string): EventBody => ({
  type: 'turn.started',
  turnId: turnId(letter),
})

const FAILING = `> cart@1.0.0 test
> node --test

✔ one piece costs its price (0.6 ms)
\u001b[31m✖ three pieces get the discount (1.2 ms)\u001b[39m
  AssertionError [ERR_ASSERTION]: Expected values to be strictly equal:
  750 !== 675

ℹ tests 4
ℹ pass 3
ℹ fail 1`

/** The work of one turn, from looking around to a push. */
export function work(letter: string): Fact[] {
  return [
    thought(
      letter,
      'The discount test fails. I should look at how the quantity is compared before changing anything.',
    ),
    text(letter, 'I will run the tests first, to see what fails.'),
    ...tool(
      letter,
      'Bash',
      { command: 'npm test', description: 'Run the tests' },
      { output: FAILING, isError: true },
    ),
    ...tool(letter, 'Read', { file_path: '/workspace/cart/src/cart.js' }, { output: '1 import …' }),
    ...tool(
      letter,
      'Read',
      { file_path: '/workspace/cart/test/cart.test.js' },
      { output: '1 import …' },
    ),
    ...tool(letter, 'Grep', { pattern: 'DISCOUNT_FROM' }, { output: 'src/cart.js:3' }),
    used(1200, 0.0312),
    text(
      letter,
      'The comparison misses exactly three pieces: `quantity > DISCOUNT_FROM` should be `>=`.\n\n- **Cause:** an off-by-one in `lineTotal`\n- **Fix:** one character, no change to the test',
    ),
    ...tool(
      letter,
      'Edit',
      {
        file_path: '/workspace/cart/src/cart.js',
        old_string: '  if (quantity > DISCOUNT_FROM) {',
        new_string:
          '  // From three pieces on, three included.\n  if (quantity >= DISCOUNT_FROM) {',
      },
      { output: 'The file was updated.' },
    ),
    [
      'seen',
      {
        type: 'egress.denied',
        host: 'telemetry.example.com',
        port: 443,
        reason: 'host_not_allowed',
      },
    ],
    used(900, 0.0208),
  ]
}

export const HEAD = 'b1a2c3d4e5f60718293a4b5c6d7e8f9001122334'

export function delivered(letter: string): Fact[] {
  return [
    ...tool(
      letter,
      'Bash',
      {
        command: 'npm test && git commit -am "Give the discount from three pieces on" && git push',
      },
      { output: 'ℹ pass 4\nℹ fail 0' },
    ),
    [
      'seen',
      {
        type: 'push.accepted',
        ref: `refs/heads/${BRANCH}`,
        commit: HEAD,
        outward: 'forwarded',
        message: '',
      },
    ],
    [
      'seen',
      { type: 'changes.measured', commit: HEAD, filesChanged: 2, insertions: 12, deletions: 3 },
    ],
    text(letter, 'All four tests pass now. The fix is pushed to the session’s branch.'),
    { type: 'turn.completed', turnId: turnId(letter), exitCode: null, durationMs: 41_300 },
  ]
}

export const failedPhase: Fact[] = [
  ...prepared.slice(0, 1),
  { type: 'phase.started', phase: 'fetch', generation: 1 },
  {
    type: 'phase.logged',
    phase: 'fetch',
    generation: 1,
    lines: [
      'Cloning into bare repository',
      'fatal: could not read Username for https://git.example.com: terminal prompts disabled',
    ],
  },
  [
    'system',
    {
      type: 'phase.failed',
      phase: 'fetch',
      generation: 1,
      durationMs: 1310,
      reason: 'repository_access_denied',
      message:
        'git.example.com asked for a login and there is none for it. Add a credential for this host, or use an address that needs none.',
    },
  ],
  ['system', { type: 'sandbox.stopped', generation: 1, why: 'failed' }],
  [
    'system',
    {
      type: 'session.failed',
      reason: 'repository_access_denied',
      message: 'The repository could not be fetched.',
    },
  ],
]

export const running = (letter = 'a', title = 'Make the failing test pass') =>
  createSession({ letter, title, facts: [...prepared, ...work(letter)] })
export const ready = (letter = 'b', title = 'Give the discount') =>
  createSession({ letter, title, facts: [...prepared, ...work(letter), ...delivered(letter)] })

export function asking(
  kind: 'question' | 'permission' | 'plan' = 'question',
  { multiSelect = false, detail = 'Bash: rm -rf build' } = {},
) {
  const items = [
    {
      question: 'Which format?',
      header: '',
      multiSelect,
      options: [
        { label: 'Symbol', description: 'before the amount' },
        { label: 'Code', description: 'after it' },
      ],
    },
  ]
  const question = {
    ...{
      id: 'q1',
      turnId: turnId('c'),
      kind,
      title: 'Run a command',
      detail,
    },
    ...{ askedAt: new Date().toISOString(), items: kind === 'question' ? items : [] },
  }
  return createSession({
    letter: 'c',
    title: 'Add a currency',
    facts: [...prepared, { type: 'question.asked', question }],
  })
}
