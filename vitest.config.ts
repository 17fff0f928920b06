// The suites of Errand: `unit` is part of `npm run check`, the others run for real what they name.
import { defineConfig } from 'vitest/config'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

const suite = (name: string, include: string[], testTimeout: number) => ({
  test: {
    ...{ name, include, testTimeout, hookTimeout: 4 * testTimeout },
    // The usual second is little on a machine that does something else.
    expect: { poll: { timeout: 20_000 } },
  },
})

/** Runs whole installations, whose programs are built. */
const installed = (name: string, include: string[]) => {
  const { test } = suite(name, include, 300_000)
  return { test: { ...test, globalSetup: 'test/built.ts' } }
}

const files = [
  'src/**/*.test.ts',
  'demo/**/*.test.ts',
  'bench/**/*.test.ts',
  'web/src/**/*.test.ts',
]
const databases = 'src/store/postgres/lent-servers.fixture.ts'
const { test: fast } = suite('unit', files, 60_000)
/** No module has a state, so that files need no world of their own: loading all of it anew took a third of the time. */
const unit = { test: { ...fast, isolate: false, globalSetup: databases } }
const { test: attacking } = suite('attack', ['test/attack/**/*.test.ts'], 180_000)

/** The test machine takes minutes on one processor: begun last it would keep the other one waiting. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]) {
    const isLong = ({ project }: TestSpecification) => project.name === 'machine'
    const sorted = await super.sort(files)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

export default defineConfig({
  test: {
    projects: [
      unit,
      { ...suite('conformance', ['src/**/*.conformance.ts', 'demo/**/*.conformance.ts'], 120_000) },
      installed('e2e', ['test/e2e/**/*.test.ts']),
      { ...suite('machine', ['test/machine/**/*.test.ts'], 300_000) },
      installed('faults', ['test/faults/**/*.test.ts']),
      { test: { ...attacking, globalSetup: databases } },
      installed('browser', ['test/browser/**/*.test.ts']),
    ],
    fileParallelism: true,
    maxWorkers: 2,
    sequence: { sequencer: LongestFirst },
  },
})
