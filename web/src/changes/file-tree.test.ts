import { describe, expect, it } from 'vitest'
import { type FileChange, treeRows } from './file-tree.ts'

const change = (path: string): FileChange => ({
  ...{ path, oldPath: null, status: 'modified', binary: false, insertions: 1, deletions: 0 },
})
const shown = (...paths: string[]) =>
  treeRows(paths.map(change)).map(({ depth, name }) => `${'  '.repeat(depth)}${name}`)

describe('the tree of changed files', () => {
  it('keeps the order of the diff and gives each folder one line', () => {
    expect(shown('README.md', 'src/cart.js', 'src/checkout/total.js', 'src/index.js')).toEqual([
      'README.md',
      'src/',
      '  cart.js',
      '  checkout/',
      '    total.js',
      '  index.js',
    ])
  })

  it('writes a chain of folders on one line, down to where it parts', () => {
    expect(shown('a/b/c/one.js', 'a/b/d/e/two.js')).toEqual([
      'a/b/',
      '  c/',
      '    one.js',
      '  d/e/',
      '    two.js',
    ])
  })

  it('does not take a folder for the file that it replaced', () => {
    expect(shown('lib', 'lib/index.js')).toEqual(['lib', 'lib/', '  index.js'])
  })

  it('names files by their whole path', () => {
    const files = ['a/b/c.js', 'd.js'].map(change)
    const found = treeRows(files).flatMap((row) => (row.kind === 'file' ? [row.file] : []))
    expect(found).toEqual(files)
    expect(treeRows([])).toEqual([])
  })
})
