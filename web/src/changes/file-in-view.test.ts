// The file that the list of a diff marks.
import { expect, it } from 'vitest'
import { fileInView } from './file-in-view.ts'

const middle = { isAtStart: false, isAtEnd: false, target: -1 }

it('is the one at the upper edge, also while it is longer than what is seen', () => {
  expect(fileInView([200, 700], { ...middle, isAtStart: true })).toBe(0)
  expect(fileInView([-400, 30, 300], middle)).toBe(1)
  expect(fileInView([-9000, 900], middle)).toBe(0)
  expect(fileInView([], middle)).toBe(0)
})

it('is the last at the end, or the one that was gone to there', () => {
  const end = { ...middle, isAtEnd: true }
  expect(fileInView([-400, 100, 300], end)).toBe(2)
  expect(fileInView([-400, 100, 300], { ...end, target: 1 })).toBe(1)
  // One that was gone to before, and is out of sight by now.
  expect(fileInView([-400, -100, 300], { ...end, target: 0 })).toBe(2)
})

it('is the first where all are in sight, unless another was gone to', () => {
  const all = { isAtStart: true, isAtEnd: true, target: -1 }
  expect(fileInView([80, 200], all)).toBe(0)
  expect(fileInView([80, 200], { ...all, target: 1 })).toBe(1)
})
