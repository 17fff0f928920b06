// What the other programs are asked for: kept commits that are pushed outward again, a sandbox and its door.
import { describe, expect, it } from 'vitest'
import type { GitClient } from './git/client.ts'
import { createRepositoryPort, createSandboxPort, type Told } from './ports.ts'
import { AppError } from './protocol/errors.ts'
import { type AdditionalState, NO_GRANTS, type SessionState } from './protocol/session.ts'
import type { IsolationReport, SandboxDriver, SandboxStatus } from './sandbox/driver.ts'
import { decideCreate } from './sessions/rules/decide.ts'
import { exampleId, exampleSession } from './sessions/starting/new-session.fixture.ts'

const TOLD: Told = {
  model: { form: { kind: 'messages' }, names: {} },
  agentStart: { args: ['--settings', '{}'], env: {} },
}
const ISOLATION: IsolationReport = {
  ...{ level: 'container', line: 'container', isLimited: true, holds: [], doesNotHold: [] },
}

it('replaces what is outside only in the repository that this was granted of', async () => {
  const asked: unknown[] = []
  const git: Partial<GitClient> = {
    forward: async ({ repository, rewrite }) => {
      asked.push([repository, rewrite])
      return { outward: 'forwarded', commit: 'c', reason: null, message: '' }
    },
  }
  const beside = (name: string, rewrite: boolean) =>
    ({ name, access: 'write', pushGrants: { branches: [], rewrite } }) as unknown as AdditionalState
  const state = {
    ...{ id: 's', ownerId: 'ann', repository: {}, pushGrants: NO_GRANTS },
    environment: { git: { rewrite: false } },
    additional: [beside('lib', true), beside('api', false)],
  } as unknown as SessionState
  const { forward } = createRepositoryPort(git as GitClient, async () => undefined)
  const { signal } = new AbortController()
  for (const repository of [undefined, 'lib', 'api']) await forward({ state, repository }, signal)
  const pushGrants = { ...NO_GRANTS, rewrite: true }
  await forward({ state: { ...state, pushGrants }, repository: undefined }, signal)
  expect(asked).toEqual([
    [undefined, false],
    ['lib', true],
    ['api', false],
    [undefined, true],
  ])
})

it.each([
  ['kept', 'upstream_unreachable', 'unavailable'],
  ['kept', 'credential_missing', 'forbidden'],
  ['kept', 'credential_refused', 'forbidden'],
  ['refused', 'upstream_refused', 'forbidden'],
] as const)(
  'of commits that are %s (%s) says whether they may be tried again by themselves',
  async (outward, reason, code) => {
    const forward = async () => ({ outward, commit: 'c', reason, message: 'm' })
    const git = { forward } as Partial<GitClient> as GitClient
    const state = {
      ...{ id: 's', ownerId: 'ann', repository: {}, pushGrants: NO_GRANTS, additional: [] },
      environment: { git: { rewrite: false } },
    } as unknown as SessionState
    const port = createRepositoryPort(git, async () => undefined)
    const { signal } = new AbortController()
    await expect(port.forward({ state, repository: undefined }, signal)).rejects.toMatchObject({
      code,
    })
  },
)

describe('a sandbox and its door', () => {
  interface Beside {
    isFull?: boolean
    state?: SandboxStatus['state']
    /** What has happened, in order. */
    done?: string[]
    /** Of the sandbox as it is found. */
    damage?: AppError
  }
  async function startBeside(
    door: Promise<void>,
    { isFull = false, state: found = 'created', done = [], damage }: Beside = {},
  ) {
    let isDamaged = damage !== undefined
    const driver: Partial<SandboxDriver> = {
      list: async () => [{ sessionId: exampleId('session', 1), state: found }],
      create: async () => {
        if (isDamaged) throw damage
        done.push('made')
      },
      remove: async () => {
        isDamaged = false
        done.push('removed')
      },
      start: async () => void done.push('started'),
      isolation: async () => ISOLATION,
    }
    const gate = {
      isFull: () => isFull,
      enter: async () => void done.push('let in'),
      leave: () => void done.push('left'),
    }
    const port = createSandboxPort(driver as SandboxDriver, TOLD, gate)
    const { state } = decideCreate(exampleId('session', 1), exampleSession(1), {
      ...{ now: new Date(), hasSlot: true },
    })
    const hold = { signal: new AbortController().signal, assertHeld: async () => undefined }
    const anew = async () => []
    const opened = door.then(() => void done.push('opened'))
    await port.start(state, hold, () => undefined, { first: [], anew, door: opened })
    return done
  }

  it('makes it while the door is being opened, and starts it after that', async () => {
    const opening = Promise.withResolvers<void>()
    setImmediate(opening.resolve)
    expect(await startBeside(opening.promise)).toEqual(['let in', 'made', 'opened', 'started'])
  })

  it('waits for the start of no other with one that was started ahead', async () => {
    const opened = Promise.resolve()
    const ahead = await startBeside(opened, { isFull: true, state: 'running' })
    expect(ahead).not.toContain('let in')
    expect(await startBeside(opened, { isFull: true })).toContain('let in')
    expect(await startBeside(opened, { state: 'running' })).toContain('let in')
  })

  it.each(['disk_missing', 'disk_damaged', 'record_damaged', 'layer_missing'])(
    'makes one anew that cannot be started as it is (%s)',
    async (reason) => {
      const damage = new AppError('internal', reason, 'It is damaged.')
      const done = await startBeside(Promise.resolve(), { damage })
      expect(done.slice(-3)).toEqual(['removed', 'made', 'started'])
    },
  )

  it('starts none whose door cannot be opened, and lets the next one start', async () => {
    const refused = new AppError('unavailable', 'gateway_away', 'The gateway does not answer.')
    const done: string[] = []
    await expect(startBeside(Promise.reject(refused), { done })).rejects.toBe(refused)
    expect(done).toEqual(['let in', 'made', 'left'])
  })
})
