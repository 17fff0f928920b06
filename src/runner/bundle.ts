// Loads the runner's bundle, a script in a file of its own, with the code that V8 compiled from it at build time. V8 refuses
// code of another Node.js and of a source of another length; then, and where there is none, it compiles the source.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { pathToFileURL } from 'node:url'
import { constants, Script } from 'node:vm'

/** Around the bundle's CommonJS text, which finds its own address under the last name. */
export const BUNDLE_FRAME = {
  begin: '(function (exports, require, module, bundleUrl) {',
  end: '})',
  url: 'bundleUrl',
} as const

export interface Bundle<Exports> {
  exports: Exports
  /** Whether nothing had to be compiled. */
  isCached: boolean
  /** What of it has run so far, compiled; to be put at `compiledPath`. */
  compile(): Buffer
}

export function compiledPath(bundlePath: string): string {
  return `${bundlePath}.compiled`
}

export function loadBundle<Exports>(path: string): Bundle<Exports> {
  const cachedData = readCompiled(path)
  const script = new Script(readFileSync(path, 'utf8'), {
    filename: path,
    cachedData,
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  })
  const module = { exports: {} }
  const run = script.runInThisContext()
  run(module.exports, createRequire(path), module, pathToFileURL(path).href)
  return {
    exports: module.exports as Exports,
    isCached: cachedData !== undefined && script.cachedDataRejected === false,
    compile: () => script.createCachedData(),
  }
}

function readCompiled(path: string): Buffer | undefined {
  try {
    return readFileSync(compiledPath(path))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
