// What becomes of a turn when the agent is killed or the sandbox is lost, with the real Claude Code: it goes on with its
// conversation, and by message uuid the log equals the agent's own transcript.
import { existsSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Scenario } from '../../../demo/scenario.ts'
import { delay } from '../../lib/deadline.ts'
import { runProcess } from '../../lib/process.ts'
import { SAVED_WORK_REF } from '../../protocol/saved-refs.ts'
import { claudePath, createPlace, type Place } from '../place.fixture.ts'

const bash = (command: string) => ({ tool: 'Bash', input: { command, description: 'Work' } })
const step = (number: number) => ({
  say: `Step ${number}.`,
  use: [bash(`echo ${number} >> steps.txt`)],
})
const steps = (first: number, count: number) =>
  Array.from({ length: count }, (_, index) => step(first + index))

const SCENARIOS: Scenario[] = [
  {
    name: 'many steps',
    about: 'Works for a while; when it is told to go on it works some more.',
    turns: [
      { prompt: 'work in many steps', steps: [...steps(1, 30), { say: 'All done.' }] },
      { prompt: 'go on with the task', steps: [...steps(100, 8), { say: 'Done after all.' }] },
      { prompt: 'and once more', steps: [{ say: 'I know: {{firstPrompt}}' }] },
    ],
  },
  {
    name: 'many steps, asked once',
    about: 'The same where the prompt itself had not been saved and is asked again.',
    turns: [
      { prompt: 'work in many steps', steps: [{ say: 'Never said: the one above comes first.' }] },
      { prompt: 'and once more', steps: [{ say: 'I know: {{firstPrompt}}' }] },
    ],
  },
  {
    name: 'leaves behind',
    about: 'Starts programs that outlive it.',
    turns: [
      {
        prompt: 'leave something behind',
        steps: [
          {
            use: [
              bash(
                'setsid sh -c "echo \\$\\$ >> left; exec sleep 1001" & nohup sh -c "echo \\$\\$ >> left; exec sleep 1002" >/dev/null 2>&1 & (sh -c "echo \\$\\$ >> left; exec sleep 1003" &) ; echo waiting > waiting.txt; tail -f /dev/null',
              ),
            ],
          },
          { say: 'It ended.' },
        ],
      },
      { prompt: 'go on with the task', steps: [{ say: 'Nothing is left to do.' }] },
    ],
  },
]

let place: Place
beforeEach(async () => {
  place = await createPlace(SCENARIOS, { ERRAND_SAVE_EVERY_S: '1' })
})
afterEach(() => place.close())

async function agentPids(): Promise<number[]> {
  const pids = (await readdir('/proc')).map(Number).filter((pid) => pid > 0)
  const answers = await Promise.all(
    pids.map(async (pid) => {
      const [status, line] = await Promise.all(
        ['status', 'cmdline'].map((name) =>
          readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => ''),
        ),
      )
      return (
        line?.split('\0')[0] === claudePath &&
        Number(/^PPid:\t(\d+)$/m.exec(status ?? '')?.[1]) === process.pid
      )
    }),
  )
  return pids.filter((_, index) => answers[index])
}

async function killAgent(): Promise<void> {
  await untilTrue(async () => (await agentPids()).length > 0)
  const pids = await agentPids()
  for (const pid of pids) process.kill(pid, 'SIGKILL')
  await untilTrue(async () => !(await agentPids()).some((pid) => pids.includes(pid)))
}

const reported = () =>
  place.gateway.reports.flatMap((report) => ('uuid' in report ? [report.uuid] : []))

/** The uuids of all that the conversation on disk holds and that a log shows. */
async function written(): Promise<string[]> {
  const lines = (await place.transcript()).trim().split('\n')
  return lines
    .map((line) => JSON.parse(line))
    .filter(({ type, isMeta, isSidechain, message }) => {
      if (isMeta || isSidechain || message?.model === '<synthetic>') return false
      if (!Array.isArray(message?.content)) return false
      const kinds = message.content.map((block: { type: string }) => block.type)
      return type === 'assistant' || (type === 'user' && kinds.includes('tool_result'))
    })
    .map(({ uuid }) => uuid)
}

async function untilTrue(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await delay(20)
}

describe('kill -9 of the agent', () => {
  it.each([0, 15, 40, 90, 160])(
    'goes on in the same turn, %i ms after a message: log and transcript are the same',
    async (pauseMs) => {
      await place.start()
      const turn = place.ask('work in many steps')
      await untilTrue(() => place.gateway.ofType('tool.called').length > 2)
      await delay(pauseMs)
      await killAgent()
      expect((await place.endOf(turn)).type).toBe('turn.completed')
      const said = reported()
      expect(new Set(said).size).toBe(said.length)
      expect([...said].sort()).toEqual((await written()).sort())
      const asked = /"role":"user","content":"work in many steps"/g
      expect([...(await place.transcript()).matchAll(asked)].length).toBe(1)
      expect(place.gateway.ofType('assistant.text').at(-1)?.text).toBe('Done after all.')
      expect(place.gateway.ofType('turn.accepted').length).toBe(1)
    },
  )

  it('ends what it left behind before it goes on', async () => {
    await place.start()
    const turn = place.ask('leave something behind')
    await untilTrue(() => existsSync(join(place.checkout, 'waiting.txt')))
    const left = async () =>
      (await readFile(join(place.checkout, 'left'), 'utf8').catch(() => '')).trim().split('\n')
    await untilTrue(async () => (await left()).length === 3)
    await killAgent()
    await place.gateway.wait('agent.notice', ({ kind }) => kind === 'resumed')
    await untilTrue(async () => (await agentPids()).length > 0)
    for (const pid of await left()) {
      const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => 'gone')
      expect(status).toMatch(/gone|State:\s+Z/)
    }
    expect((await place.endOf(turn)).type).toBe('turn.completed')
  })

  it('is the end of the turn when it dies again and again', async () => {
    await place.start()
    const turn = place.ask('work in many steps')
    await place.gateway.wait('tool.called')
    for (let death = 1; death <= 3; death++) await killAgent()
    // It may be killed while it starts as well.
    const reason = expect.stringMatching(/^agent_(died|not_started)$/)
    expect(await place.endOf(turn)).toMatchObject({ type: 'turn.failed', reason })
    const said = reported()
    expect(new Set(said).size).toBe(said.length)
    expect([...said].sort()).toEqual((await written()).sort())
    expect((await place.endOf(place.ask('and once more'))).type).toBe('turn.completed')
  })
})

it('an agent that hangs when it is started again is ended, and the turn goes on with another', async () => {
  await place.close()
  place = await createPlace(SCENARIOS, {}, { agentStartMs: 10_000 })
  await place.start()
  const turn = place.ask('work in many steps')
  await place.gateway.wait('tool.called')
  await killAgent()
  await untilTrue(async () => (await agentPids()).length > 0)
  const frozen = await agentPids()
  for (const pid of frozen) process.kill(pid, 'SIGSTOP')
  expect((await place.endOf(turn)).type).toBe('turn.completed')
  expect(await agentPids()).not.toEqual(expect.arrayContaining(frozen))
})

it('an agent that hangs while it waits for its folder is ended, and the first turn has another', async () => {
  await place.close()
  place = await createPlace(SCENARIOS, {}, { agentStartMs: 20_000 })
  await place.startAhead()
  const command = place.ask('true', 'command')
  await place.start()
  await place.endOf(command)
  const frozen = await agentPids()
  expect(frozen).toHaveLength(1)
  for (const pid of frozen) process.kill(pid, 'SIGSTOP')
  expect((await place.endOf(place.ask('and once more'))).type).toBe('turn.completed')
  expect(await agentPids()).not.toEqual(expect.arrayContaining(frozen))
})

it('an agent that hangs while it waits for its folder holds up nobody who interrupts its turn', async () => {
  await place.close()
  place = await createPlace(SCENARIOS, {}, { agentStartMs: 40_000 })
  await place.startAhead()
  const command = place.ask('true', 'command')
  await place.start()
  await place.endOf(command)
  const frozen = await agentPids()
  for (const pid of frozen) process.kill(pid, 'SIGSTOP')
  const turn = place.ask('work in many steps')
  await place.gateway.wait('turn.accepted', ({ turnId }) => turnId === turn)
  place.interrupt(turn)
  expect((await place.endOf(turn)).type).toBe('turn.interrupted')
  expect(await agentPids()).toEqual(frozen)
  expect((await place.endOf(place.ask('and once more'))).type).toBe('turn.completed')
})

it('an agent whose own file was cut off, as by a full disk, starts all the same and knows its conversation', async () => {
  await place.start()
  expect((await place.endOf(place.ask('work in many steps'))).type).toBe('turn.completed')
  await place.stop()
  await writeFile(join(place.home, '.claude.json'), '{"firstStart')
  await place.start()
  expect((await place.endOf(place.ask('and once more'))).type).toBe('turn.completed')
  expect(place.gateway.ofType('assistant.text').at(-1)?.text).toBe('I know: work in many steps')
})

it.each([
  ['an empty file', ''],
  ['its first lines', '{"type":"queue-operation","operation":"enqueue"}\n{"type":"us'],
  ['zeros', '\0'.repeat(4096)],
])('an agent of whose first message %s is left starts all the same', async (_, left) => {
  await place.start()
  await place.endOf(place.ask('the first of all'))
  await place.stop()
  await writeFile(await place.transcriptPath(), left)
  await place.start()
  expect((await place.endOf(place.ask('the second'))).type).toBe('turn.completed')
  await place.stop()
  await place.start()
  expect((await place.endOf(place.ask('the third'))).type).toBe('turn.completed')
  const transcript = await place.transcript()
  for (const prompt of ['the second', 'the third']) expect(transcript).toContain(prompt)
})

it('an agent that hangs between two turns and is to work in another mode is ended, and the turn goes on with another', async () => {
  await place.close()
  place = await createPlace(SCENARIOS, {}, { agentStartMs: 10_000 })
  await place.start()
  await place.endOf(place.ask('and once more'))
  const frozen = await agentPids()
  for (const pid of frozen) process.kill(pid, 'SIGSTOP')
  place.gateway.direct({ mode: 'plan' })
  expect((await place.endOf(place.ask('and once more'))).type).toBe('turn.completed')
  expect(await agentPids()).not.toEqual(expect.arrayContaining(frozen))
})

describe('a restart of the runner in the middle of a turn', () => {
  it('loses and doubles no message', async () => {
    await place.start()
    const turn = place.ask('work in many steps')
    await untilTrue(() => place.gateway.ofType('tool.called').length > 2)
    await place.stop()
    await place.start()
    expect((await place.endOf(turn)).type).toBe('turn.completed')
    const said = reported()
    expect(new Set(said).size).toBe(said.length)
    expect([...said].sort()).toEqual((await written()).sort())
  })
})

describe('a lost sandbox', () => {
  const savedFile = async (name: string) => {
    const args = ['-C', place.upstream, 'show', `${SAVED_WORK_REF}:${name}`]
    const { exitCode, stdout } = await runProcess('git', args)
    return exitCode === 0 ? stdout : ''
  }

  it('is replaced in the middle of a turn, which goes on with its files and its conversation', async () => {
    await place.start()
    const turn = place.ask('work in many steps')
    await untilTrue(async () => (await savedFile('steps.txt')).includes('2\n'))
    await place.stop()
    await place.loseDisk()
    place.gateway.setGeneration(2)
    await place.start()
    expect((await place.endOf(turn)).type).toBe('turn.completed')
    const replaced = await place.gateway.wait(
      'agent.notice',
      ({ kind }) => kind === 'sandbox_replaced',
    )
    expect(replaced.text).toMatch(/saved at 2\d{3}-.*files and conversation/)
    expect(await readFile(join(place.checkout, 'steps.txt'), 'utf8')).toContain('1\n2\n')
    // The second where the conversation was saved between a call and its result, the first where it was saved after one.
    expect(['All done.', 'Done after all.']).toContain(
      place.gateway.ofType('assistant.text').at(-1)?.text,
    )
    const said = reported()
    expect(new Set(said).size).toBe(said.length)
    expect(said).toEqual(expect.arrayContaining(await written()))
    await place.endOf(place.ask('and once more'))
    const texts = place.gateway.ofType('assistant.text').map(({ text }) => text)
    expect(texts.at(-1)).toBe('I know: work in many steps')
  })

  it('says so when nothing was saved', async () => {
    await place.start()
    await place.gateway.wait('runner.ready')
    await place.stop()
    await place.loseDisk()
    place.gateway.setGeneration(2)
    await place.start()
    const { text } = await place.gateway.wait('agent.notice')
    expect(text).toContain('Nothing of it had been saved')
  })
})
