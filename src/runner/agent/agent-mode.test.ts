import { describe, expect, it } from 'vitest'
import { createAgentMode, type Wanted } from './agent-mode.ts'

type Status = Parameters<ReturnType<typeof createAgentMode>['note']>[0]
const says = (permissionMode: string) =>
  ({ type: 'system', subtype: 'status', permissionMode }) as unknown as Status

/** An agent that takes what it is told when `take` is called. */
function create(started: Wanted) {
  const asked: string[] = []
  const waiting: (() => void)[] = []
  const tell = (what: string) => {
    asked.push(what)
    return new Promise<void>((resolve) => waiting.push(resolve))
  }
  let wanted = started
  const mode = createAgentMode({
    query: {
      setPermissionMode: (to) => tell(to),
      setModel: (to) => tell(to ?? 'its own'),
    },
    started,
    wanted: () => wanted,
  })
  const take = async (change: Promise<void>) => {
    let isOver = false
    void change.finally(() => {
      isOver = true
    })
    while (!isOver) {
      waiting.shift()?.()
      await Promise.resolve()
    }
  }
  const want = (change: Partial<Wanted>) => {
    wanted = { ...wanted, ...change }
  }
  return { mode, asked, want, take }
}

describe('an agent that works', () => {
  it('ends in the mode that was wanted last, though the one before had not been taken yet', async () => {
    const { mode, asked, want, take } = create({ mode: 'ask', model: null })
    want({ mode: 'work' })
    const first = mode.adjust()
    while (asked.length === 0) await Promise.resolve()
    want({ mode: 'ask' })
    await take(Promise.all([first, mode.adjust()]).then(() => undefined))
    expect(asked).toEqual(['bypassPermissions', 'default'])
  })

  it('keeps the mode of its approved plan when only its model is changed, until the next prompt', async () => {
    const { mode, asked, want, take } = create({ mode: 'plan', model: null })
    mode.note(says('bypassPermissions'))
    want({ model: 'small' })
    await take(mode.adjust())
    expect(asked).toEqual(['small'])
    await take(mode.renew())
    expect(asked).toEqual(['small', 'plan'])
    await take(mode.renew())
    expect(asked).toHaveLength(2)
  })

  it('leaves a mode that it has taken itself when another one is wanted', async () => {
    const { mode, asked, want, take } = create({ mode: 'ask', model: null })
    mode.note(says('plan'))
    want({ mode: 'work' })
    await take(mode.adjust())
    expect(asked).toEqual(['bypassPermissions'])
  })

  it('is told again what it did not take', async () => {
    let isDeaf = true
    const asked: string[] = []
    const mode = createAgentMode({
      query: {
        setPermissionMode: async (to) => {
          asked.push(to)
          if (isDeaf) throw new Error('not now')
        },
        setModel: async () => undefined,
      },
      started: { mode: 'work', model: null },
      wanted: () => ({ mode: 'ask', model: null }),
    })
    await expect(mode.adjust()).rejects.toThrow('not now')
    isDeaf = false
    await mode.adjust()
    expect(asked).toEqual(['default', 'default'])
  })
})
