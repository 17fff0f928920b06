import { describe, expect, it } from 'vitest'
import { applyEvent, emptyView } from '../../protocol/apply-event.ts'
import type { EventBody, SessionEvent } from '../../protocol/event.ts'
import { actsOnTerminal, createTestOutput, SESSION_CREATED } from '../cli.fixture.ts'
import { createRenderer } from './render.ts'

const sessionId = `s_${'a'.repeat(20)}`
const turnId = `t_${'a'.repeat(20)}`
const uuid = 'u'
const WALK: EventBody[] = [
  SESSION_CREATED,
  { type: 'message.queued', turnId, kind: 'agent', text: 'fix it' },
  { type: 'sandbox.preparing', generation: 1, resume: false },
  { type: 'phase.started', phase: 'fetch', generation: 1 },
  { type: 'phase.completed', phase: 'fetch', generation: 1, durationMs: 300 },
  { type: 'phase.started', phase: 'sandbox', generation: 1 },
  { type: 'phase.completed', phase: 'sandbox', generation: 1, durationMs: 600 },
  { type: 'sandbox.ready', generation: 1 },
  { type: 'turn.started', turnId },
  ...tool('1', 'Bash', { command: 'npm test' }, { output: 'line\n1 failing', isError: true }),
  { type: 'egress.denied', host: 'evil.example', port: 443, reason: 'host_not_allowed' },
  { type: 'egress.denied', host: 'evil.example', port: 443, reason: 'host_not_allowed' },
  { type: 'assistant.text', turnId, uuid, text: 'Fixed **it**.' },
  {
    type: 'push.accepted',
    ref: 'refs/heads/errand/x',
    commit: 'c'.repeat(40),
    outward: 'kept',
    message: '',
  },
  { type: 'turn.completed', turnId, exitCode: null, durationMs: 2500 },
]

function tool(
  toolUseId: string,
  name: string,
  input: unknown,
  back: { output: string; isError: boolean },
): EventBody[] {
  return [
    { type: 'tool.called', turnId, uuid, toolUseId, name, input, parentToolUseId: null },
    { type: 'tool.returned', turnId, uuid, toolUseId, truncated: false, ...back },
  ]
}

function play(bodies: EventBody[], options: { isTTY: boolean; quietUntil?: number }) {
  const output = createTestOutput(options.isTTY)
  const renderer = createRenderer({
    output,
    quietUntil: options.quietUntil,
    now: () => Date.parse('2026-01-01T00:00:02Z'),
  })
  bodies.forEach((body, index) => {
    const event: SessionEvent = {
      sessionId,
      seq: index + 1,
      at: '2026-01-01T00:00:00.000Z',
      source: 'claimed',
      body,
    }
    renderer.event(event)
  })
  renderer.close()
  return output
}

describe('the renderer', () => {
  it('writes plain lines where there is no terminal', () => {
    const { text } = play(WALK, { isTTY: false })
    expect(text()).toBe(`✓ fetch 0.3 s
✓ sandbox 0.6 s

› fix it

▸ Bash  npm test  0.0 s ✕
    line
    1 failing
⛔ evil.example:443 was not reached: host_not_allowed

Fixed **it**.

↑ pushed cccccccccc to errand/x (kept here, not outside yet)
✓ done in 2.5 s
`)
  })

  it('keeps one changing line on a terminal and leaves only what is settled', () => {
    const output = play(WALK, { isTTY: true })
    expect(output.text()).toContain('◐ sandbox')
    expect(output.screen()).not.toContain('◐')
    expect(output.screen()).toContain('✓ prepared: fetch 0.3 s · sandbox 0.6 s\n')
    expect(output.screen()).toContain('▸ Bash  npm test  0.0 s ✕\n')
  })

  it('shows text that is being written until it is stored', () => {
    const output = createTestOutput(true)
    const renderer = createRenderer({ output })
    renderer.delta({ turnId, text: 'Looking at\n' })
    renderer.delta({ turnId, text: 'the test' })
    expect(output.text()).toContain('Looking at the test')
    renderer.close()
    expect(output.screen()).toBe('')
  })

  it('takes not much longer than the log itself does to be applied, however long it is', () => {
    const texts = Array.from({ length: 8000 }, (_, index): EventBody => {
      return { type: 'assistant.text', turnId, uuid: `u${index}`, text: `line ${index}` }
    })
    const timeOf = (work: () => void) => {
      const startedAt = performance.now()
      work()
      return performance.now() - startedAt
    }
    const bodies: EventBody[] = [SESSION_CREATED, ...texts]
    const at = '2026-01-01T00:00:00.000Z'
    const events = bodies.map((body, index): SessionEvent => {
      return { sessionId, seq: index + 1, at, source: 'claimed', body }
    })
    const applied = timeOf(() => events.reduce(applyEvent, emptyView))
    const shown = timeOf(() => expect(play(bodies, { isTTY: false }).text()).toContain('line 7999'))
    expect(shown).toBeLessThan(8 * applied + 500)
  })

  it('says the place in the queue while there is one', () => {
    for (const isTTY of [true, false]) {
      const output = createTestOutput(isTTY)
      const renderer = createRenderer({ output })
      const bodies: EventBody[] = [SESSION_CREATED, { type: 'session.queued' }]
      const at = '2026-01-01T00:00:00.000Z'
      bodies.forEach((body, index) => {
        renderer.event({ sessionId, seq: index + 1, at, source: 'system', body })
      })
      renderer.place({ number: 2, of: 5 })
      renderer.place({ number: 1, of: 5 })
      renderer.place(null)
      expect(output.text()).toContain('◌ waiting for a free slot, place 1 of 5')
      renderer.event({
        sessionId,
        seq: 3,
        at,
        source: 'system',
        body: { type: 'turn.started', turnId },
      })
      renderer.close()
      const lines = [2, 1].map((number) => `◌ waiting for a free slot, place ${number} of 5\n`)
      expect(output.screen()).toBe(isTTY ? '' : lines.join(''))
    }
  })

  it('says once that it waits for the connection, also without a terminal', () => {
    const output = createTestOutput()
    const renderer = createRenderer({ output })
    for (const state of ['open', 'waiting', 'waiting', 'open'] as const) renderer.connection(state)
    renderer.close()
    expect(output.text()).toBe('waiting for the connection …\n')
  })

  it('says once why the model refuses again and again', () => {
    const refused = (message: string): EventBody => {
      const said = { requestId: 'r', status: 401, reason: 'model_key_missing', message }
      return { type: 'model.failed', ...said }
    }
    const walk = [...WALK.slice(0, 9), ...['no key', 'no key', 'no host', 'no key'].map(refused)]
    const shown = play(walk, { isTTY: false }).text()
    expect(shown.match(/no (key|host)/g)).toEqual(['no key', 'no host', 'no key'])
  })

  it('takes earlier events in without showing them', () => {
    const { text } = play(WALK, { isTTY: false, quietUntil: WALK.length - 1 })
    expect(text()).toBe('✓ done in 2.5 s\n')
  })

  it('shows why a phase failed with the end of its log', () => {
    const failed: EventBody[] = [
      ...WALK.slice(0, 4),
      { type: 'phase.logged', phase: 'fetch', generation: 1, lines: ['fatal: no \x1b[31mroute'] },
      {
        type: 'phase.failed',
        phase: 'fetch',
        generation: 1,
        durationMs: 1000,
        reason: 'unreachable',
        message: 'no way',
      },
    ]
    expect(play(failed, { isTTY: false }).text()).toBe(
      '✕ fetch failed after 1.0 s: no way\n    fatal: no \\x1b[31mroute\n',
    )
  })

  it('lets nothing through that acts on a terminal', () => {
    const evil = '\x1b]52;c;ZXZpbA==\x07\x1b[2J\rfake\x9b1m\u202e'
    const bodies: EventBody[] = [
      SESSION_CREATED,
      { type: 'message.queued', turnId, kind: 'agent', text: evil },
      { type: 'turn.started', turnId },
      { type: 'assistant.text', turnId, uuid, text: evil },
      { type: 'assistant.thinking', turnId, uuid, text: evil },
      ...tool('2', evil, { [evil]: evil, command: evil }, { output: evil, isError: true }),
      { type: 'command.output', turnId, text: evil },
      { type: 'agent.notice', turnId, kind: evil, text: evil },
      { type: 'egress.denied', host: evil, port: 1, reason: evil },
      { type: 'push.refused', ref: evil, reason: evil, message: evil },
      {
        type: 'question.asked',
        question: {
          ...{ id: 'q', turnId, kind: 'question', title: evil, detail: evil, askedAt: '' },
          items: [
            {
              question: evil,
              header: evil,
              multiSelect: false,
              options: [{ label: evil, description: evil }],
            },
          ],
        },
      },
      {
        type: 'question.answered',
        questionId: 'q',
        answer: { allow: true, answers: { [evil]: evil }, message: evil },
      },
      { type: 'turn.failed', turnId, reason: evil, message: evil },
    ]
    for (const isTTY of [true, false]) {
      const written = play(bodies, { isTTY }).text().replaceAll('\r\x1b[2K', '')
      expect(actsOnTerminal(written)).toBe(false)
    }
  })
})
