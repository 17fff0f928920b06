// Makes the small sample repository of the demo: a shopping cart with one failing test and nothing to install.
import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { runChecked } from '../src/lib/process.ts'

/** The bug: a discount applies from 3 pieces on, and `quantity > 3` misses exactly 3. */
const FILES: Record<string, string> = {
  'README.md': `# cart

Adds up a shopping cart. Three or more pieces of one article cost 10 % less.

    node --test
`,
  'CLAUDE.md': `- Run the tests with \`node --test\`.
- Amounts are whole cents; never use fractions.
`,
  'package.json': `${JSON.stringify(
    {
      name: 'cart',
      version: '1.0.0',
      private: true,
      type: 'module',
      scripts: { test: 'node --test' },
    },
    null,
    2,
  )}\n`,
  'src/cart.js': `import { formatCents } from './money.js'

const DISCOUNT_FROM = 3
const DISCOUNT_PERCENT = 10

// Price of one line in cents, with the discount for many pieces.
export function lineTotal({ priceCents, quantity }) {
  const full = priceCents * quantity
  if (quantity > DISCOUNT_FROM) {
    return full - Math.round((full * DISCOUNT_PERCENT) / 100)
  }
  return full
}

export function cartTotal(lines) {
  return lines.reduce((sum, line) => sum + lineTotal(line), 0)
}

export function receipt(lines) {
  const rows = lines.map((line) => \`\${line.quantity} x \${line.name}: \${formatCents(lineTotal(line))}\`)
  return [...rows, \`Total: \${formatCents(cartTotal(lines))}\`].join('\\n')
}
`,
  'src/money.js': `export function formatCents(cents) {
  const sign = cents < 0 ? '-' : ''
  const whole = Math.trunc(Math.abs(cents) / 100)
  const rest = Math.abs(cents) % 100
  return \`\${sign}\${whole}.\${rest}\`
}
`,
  'test/cart.test.js': `import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cartTotal, lineTotal } from '../src/cart.js'

test('one piece costs its price', () => {
  assert.equal(lineTotal({ priceCents: 250, quantity: 1 }), 250)
})

test('three pieces get the discount', () => {
  assert.equal(lineTotal({ priceCents: 1000, quantity: 3 }), 2700)
})

test('a cart adds up its lines', () => {
  const lines = [
    { name: 'tea', priceCents: 450, quantity: 2 },
    { name: 'cup', priceCents: 1000, quantity: 4 },
  ]
  assert.equal(cartTotal(lines), 4500)
})
`,
  'test/money.test.js': `import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatCents } from '../src/money.js'

test('cents are shown as a decimal amount', () => {
  assert.equal(formatCents(1250), '12.50')
  assert.equal(formatCents(-1999), '-19.99')
})
`,
}

interface SampleRepository {
  path: string
  branch: string
  commit: string
}

/** Creates the repository in `path` (made if missing, must be empty) with one commit on `main`. */
export async function createSampleRepository(path: string): Promise<SampleRepository> {
  for (const [name, text] of Object.entries(FILES)) {
    mkdirSync(dirname(join(path, name)), { recursive: true })
    writeFileSync(join(path, name), text)
  }
  const git = (...args: string[]) => runChecked('git', args, { cwd: path, env: gitEnvironment() })
  await git('init', '--quiet', '--initial-branch=main')
  await git('add', '--all')
  await git('commit', '--quiet', '--message', 'A shopping cart with a discount for many pieces')
  return { path, branch: 'main', commit: (await git('rev-parse', 'HEAD')).trim() }
}

/** Nothing of the user's own git configuration, and a fixed identity and date: the same commit everywhere. */
export function gitEnvironment(): Record<string, string> {
  return {
    PATH: process.env.PATH ?? '/usr/bin:/bin',
    HOME: '/nonexistent',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_AUTHOR_NAME: 'Errand Demo',
    GIT_AUTHOR_EMAIL: 'demo@errand.invalid',
    GIT_COMMITTER_NAME: 'Errand Demo',
    GIT_COMMITTER_EMAIL: 'demo@errand.invalid',
    GIT_AUTHOR_DATE: '2026-01-05T09:00:00Z',
    GIT_COMMITTER_DATE: '2026-01-05T09:00:00Z',
  }
}
