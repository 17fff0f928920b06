// The mode of a session and the plans of the real Claude Code.
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { delay } from '../../lib/deadline.ts'
import { createPlace, type Place } from '../place.fixture.ts'

const bash = (command: string) => ({ tool: 'Bash', input: { command, description: 'Work' } })
const exit = { tool: 'ExitPlanMode', input: { plan: '1. Do it' } }
const waiting = bash('touch waiting.txt; while ! test -e go.txt; do sleep 0.05; done')
const yes = { allow: true, answers: {}, message: '' }

let place: Place
beforeEach(async () => {
  const steps = [{ use: [exit] }, { use: [waiting] }, { use: [bash('touch new.txt')] }]
  const end = { say: 'Done.' }
  place = await createPlace([
    {
      name: 'plan',
      about: 'Makes a plan, and works for a while when it was approved.',
      turns: [
        { prompt: 'plan first', steps: [...steps, end] },
        { prompt: 'go on with the task', steps: [{ use: [bash('touch new.txt')] }, end] },
      ],
    },
    {
      name: 'own plan',
      about: 'Makes a plan of its own accord.',
      turns: [
        {
          prompt: 'plan as you like',
          steps: [{ use: [{ tool: 'EnterPlanMode', input: {} }] }, ...steps, end],
        },
      ],
    },
  ])
})
afterEach(() => place.close())

async function untilThere(file: string): Promise<void> {
  while (!existsSync(join(place.checkout, file))) await delay(20)
}

describe('an approved plan', () => {
  it('leaves a session that asks to ask', async () => {
    place.gateway.direct({ mode: 'ask' })
    await place.start()
    const turn = place.ask('plan as you like')
    const { question } = await place.gateway.wait('question.asked')
    expect(question.kind).toBe('plan')
    place.gateway.direct({ answers: { [question.id]: yes } })
    const next = await place.gateway.wait('question.asked', (asked) => asked.question !== question)
    expect(next.question).toMatchObject({ kind: 'permission', turnId: turn })
    expect(existsSync(join(place.checkout, 'waiting.txt'))).toBe(false)
  })

  it('is worked on to its end though another model is chosen meanwhile', async () => {
    place.gateway.direct({ mode: 'plan' })
    await place.start()
    const turn = place.ask('plan first')
    const { question } = await place.gateway.wait('question.asked')
    place.gateway.direct({ answers: { [question.id]: yes } })
    await untilThere('waiting.txt')
    place.gateway.direct({ model: 'claude-haiku-4-5' })
    await writeFile(join(place.checkout, 'go.txt'), '')
    expect((await place.endOf(turn)).type).toBe('turn.completed')
    expect(place.gateway.ofType('tool.returned').map(({ isError }) => isError)).not.toContain(true)
    expect(existsSync(join(place.checkout, 'new.txt'))).toBe(true)
  })

  it('is worked on without asking again by an agent that is started anew, in that turn alone', async () => {
    place.gateway.direct({ mode: 'plan' })
    await place.start()
    const turn = place.ask('plan first')
    const { question } = await place.gateway.wait('question.asked')
    place.gateway.direct({ answers: { [question.id]: yes } })
    await untilThere('waiting.txt')
    await place.stop()
    await place.start()
    expect((await place.endOf(turn)).type).toBe('turn.completed')
    expect(existsSync(join(place.checkout, 'new.txt'))).toBe(true)
    expect(place.gateway.ofType('question.asked').length).toBe(1)
    place.ask('plan first')
    const next = await place.gateway.wait('question.asked', (asked) => asked.question !== question)
    expect(next.question.kind).toBe('plan')
  })
})
