// The suites of Errand: `unit` is part of `npm run check`, the others run for real what they name.
import { defineConfig } from 'vitest/config'

const suite = (name: string, include: string[], testTimeout: number) => ({
  test: { name, include, testTimeout, hookTimeout: 4 * testTimeout },
})

export default defineConfig({
  test: {
    projects: [
      suite('unit', ['src/**/*.test.ts', 'demo/**/*.test.ts', 'bench/**/*.test.ts'], 60_000),
      { ...suite('conformance', ['src/**/*.conformance.ts', 'demo/**/*.conformance.ts'], 60_000) },
      { ...suite('e2e', ['test/e2e/**/*.test.ts'], 120_000) },
      { ...suite('machine', ['test/machine/**/*.test.ts'], 120_000) },
      { ...suite('faults', ['test/faults/**/*.test.ts'], 120_000) },
      { ...suite('attack', ['test/attack/**/*.test.ts'], 60_000) },
      { ...suite('browser', ['test/browser/**/*.test.ts'], 120_000) },
    ],
    fileParallelism: true,
    maxWorkers: 2,
  },
})
