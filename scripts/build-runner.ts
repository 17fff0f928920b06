// Bundles the runner with all that it imports into one file that needs nothing but Node: dist/runner.mjs.
// The agent's own program is not part of it; it is mounted into the sandbox beside it.
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))

export async function buildRunner(outfile = `${root}dist/runner.mjs`): Promise<void> {
  await build({
    absWorkingDir: root,
    entryPoints: ['src/runner/main.ts'],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    legalComments: 'none',
    logLevel: 'warning',
    // Bundled CommonJS packages ask for `require`, which an ES module does not have.
    banner: {
      js: "import { createRequire as createBundleRequire } from 'node:module'; const require = createBundleRequire(import.meta.url);",
    },
  })
}

if (import.meta.main) await buildRunner()
