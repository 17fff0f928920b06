// A preparation against the real rules, with an outside that writes down what it is asked: what is begun before it is known
// what the repository asks for, and what becomes of that.
import { expect, it } from 'vitest'
import type { ReportCommand } from '../protocol/command.ts'
import type { EnvironmentFields } from '../protocol/environment.ts'
import { AppError } from '../protocol/errors.ts'
import type { SessionState } from '../protocol/session.ts'
import { type EffectPorts, runEffect } from './effects.ts'
import { decide, decideCreate } from './rules/decide.ts'
import { isRefusal } from './rules/draft.ts'
import { exampleId, exampleSession } from './starting/new-session.fixture.ts'

interface Outside {
  /** Work trees of this repository are kept. */
  hasCheckout?: boolean
  file?: string
  environment?: Partial<EnvironmentFields>
  hasImage?: boolean
  /** What happens when a layer is asked for. */
  onFind?: (script: string, signal: AbortSignal) => Promise<string[]>
}

const moment = () => ({ now: new Date(), hasSlot: true })

function createSession(environment: Partial<EnvironmentFields> = {}): SessionState {
  const example = exampleSession(1)
  const command = { ...example, environment: { ...example.environment, ...environment } }
  return decideCreate(exampleId('session', 1), command, moment()).state
}

/** Everything that happens, in order; the fetch answers once the sandbox is being started or its layer is made. */
function createOutside({ file, hasImage = false, ...rest }: Outside) {
  const done: string[] = []
  const begun = Promise.withResolvers<void>()
  let state = createSession(rest.environment)
  let sandboxes = 0
  const step = (what: string) => void done.push(what)
  const report = async (_id: string, command: ReportCommand) => {
    const outcome = decide(state, command, moment())
    if (isRefusal(outcome)) throw new Error(outcome.refused.reason)
    state = outcome.state
    if (['repository.prepared', 'phase.withdraw'].includes(command.type)) step(command.type)
    return state
  }
  const ports: EffectPorts = {
    repositories: {
      prepare: async () => {
        await begun.promise
        const environmentFile = file === undefined ? null : { text: file, truncated: false }
        return { commit: 'c0ffee', baseBranch: 'main', environmentFile }
      },
      measure: () => Promise.reject(new Error('not asked')),
      forward: () => Promise.reject(new Error('not asked')),
      remove: async () => undefined,
    },
    sandboxes: {
      start: async ({ environment: { image } }, hold, _onLine, { first }) => {
        step(`start ${Object.values(image).at(-1)} [${first}]`)
        begun.resolve()
        // Its start takes longer than the fetch.
        if (state.repository.commit === null) await untilPreparedOrAborted(hold.signal)
        hold.signal.throwIfAborted()
        sandboxes += 1
        return 'container'
      },
      startAhead: () => Promise.reject(new Error('not asked')),
      has: async () => sandboxes > 0,
      hasImage: async () => hasImage,
      isWorking: async () => false,
      stop: async () => undefined,
      remove: async () => {
        step('remove')
        sandboxes = 0
      },
      list: async () => [],
    },
    doors: { open: async () => undefined, close: async () => undefined },
    checkouts: {
      has: async () => rest.hasCheckout ?? false,
      find: async (_state, commit) => {
        begun.resolve()
        step(`find the work tree of ${await commit()}`)
        return ['l_tree']
      },
      want: (_state, commit) => {
        if (rest.hasCheckout) step(`want ${commit}`)
      },
    },
    layers: {
      find: async ({ environment, reach, hold }) => {
        const { setup, image } = environment
        step(`find ${setup} on ${Object.values(image).at(-1)} reaching as ${reach.kind}`)
        begun.resolve()
        return rest.onFind ? await rest.onFind(setup, hold.signal) : ['l_layer']
      },
    },
    report,
  }
  const untilPreparedOrAborted = async (signal: AbortSignal) => {
    while (!signal.aborted && state.repository.commit === null)
      await new Promise((resolve) => setImmediate(resolve))
  }
  const hold = {
    signal: new AbortController().signal,
    assertHeld: async () => undefined,
  }
  const run = () => runEffect(ports, { kind: 'sandbox.start', generation: 1 }, state, hold)
  const logs = () => state.sandbox.phases.flatMap(({ log }) => log).join('\n')
  return {
    done,
    run,
    logs,
    phases: () => state.sandbox.phases.map(({ name, state: at }) => [name, at]),
  }
}

const COMPLETED = (...names: string[]) => names.map((name) => [name, 'completed'])

it('starts the sandbox beside the fetch, and keeps it where the repository asks for nothing else', async () => {
  for (const file of [undefined, 'variables: { A: b }\nnetwork: { level: full }', 'image: other']) {
    const outside = createOutside({ file })
    await outside.run()
    expect(outside.done).toEqual(['start host []', 'repository.prepared'])
    expect(outside.phases()).toEqual(COMPLETED('fetch', 'sandbox'))
  }
})

it('takes it away before its runner is told its work, and starts another on what the repository’s script made', async () => {
  const outside = createOutside({ file: 'setup: make' })
  await outside.run()
  expect(outside.done).toEqual([
    ...['start host []', 'phase.withdraw', 'remove', 'repository.prepared'],
    ...['find make on host reaching as host', 'start host [l_layer]'],
  ])
  expect(outside.phases()).toEqual(COMPLETED('fetch', 'environment', 'sandbox'))
  expect(outside.logs()).toContain('that of the repository')
})

it('waits for the commit where work trees are kept, and starts the sandbox on the one that is near', async () => {
  const outside = createOutside({ file: undefined, hasCheckout: true })
  await outside.run()
  const found = ['find the work tree of c0ffee', 'start host [l_tree]', 'want c0ffee']
  expect(outside.done).toEqual(['repository.prepared', ...found])

  const other = createOutside({ file: 'setup: make', hasCheckout: true })
  await other.run()
  expect(other.done.filter((step) => step.startsWith('start'))).toEqual([
    'start host [l_tree,l_layer]',
  ])
  expect(other.phases()).toEqual(COMPLETED('fetch', 'environment', 'sandbox'))
})

it('runs the owner’s script on the image of the repository', async () => {
  const aborted: boolean[] = []
  const onFind = async (_script: string, signal: AbortSignal) => {
    if (aborted.push(false) > 1) return ['l_other']
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    aborted[0] = true
    throw signal.reason
  }
  const outside = createOutside({
    ...{ file: 'image: universal\nsetup: theirs', environment: { setup: 'ours' } },
    ...{ hasImage: true, onFind },
  })
  await outside.run()
  expect(aborted).toEqual([true, false])
  expect(outside.done).toEqual([
    ...['find ours on host reaching as host', 'phase.withdraw', 'remove', 'repository.prepared'],
    ...['find ours on universal reaching as host', 'start universal [l_other]'],
  ])
  expect(outside.logs()).toMatch(/^The image universal is used.*$/)
  expect(outside.phases()).toEqual(COMPLETED('fetch', 'environment', 'sandbox'))
})

const building = () => new AppError('unavailable', 'layer_building', 'Somebody else makes it.')

it('does not wait for the making of a layer that the repository’s image replaces', async () => {
  let asked = 0
  const onFind = async () => {
    asked += 1
    if (asked === 1) throw building()
    return ['l_other']
  }
  const environment = { setup: 'ours' }
  const outside = createOutside({ file: 'image: other', environment, hasImage: true, onFind })
  await outside.run()
  expect(outside.done.at(-1)).toBe('start other [l_other]')
})

it('is put off while a layer is made, and goes on with what it knows by then', async () => {
  let isThere = false
  const onFind = async () => {
    if (!isThere) throw building()
    return ['l_made']
  }
  const outside = createOutside({ file: 'setup: make', onFind })
  await expect(outside.run()).rejects.toMatchObject({ reason: 'layer_building' })
  isThere = true
  await outside.run()
  expect(outside.done.slice(-2)).toEqual([
    'find make on host reaching as host',
    'start host [l_made]',
  ])
})

it('fails with the script of the repository', async () => {
  const onFind = () => Promise.reject(new AppError('conflict', 'setup_failed', 'exit code 3'))
  const outside = createOutside({ file: 'setup: make', onFind })
  await expect(outside.run()).rejects.toMatchObject({
    reason: 'setup_failed',
    phase: 'environment',
  })
  expect(outside.done).not.toContain('start host [l_layer]')
})
