import { expect, it } from 'vitest'
import { compare } from './compare.ts'

it('lets the contenders take turns, each going first as often, and leaves the warm-up out', async () => {
  const order: string[] = []
  const contender = (name: string, base: number) => async (round: number) => {
    order.push(`${name}${round}`)
    return base + round
  }
  const rounds: number[] = []
  const [a, b] = await compare([contender('a', 10), contender('b', 20)], {
    ...{ runs: 3, warmUps: 1 },
    onRound: (round) => rounds.push(round),
  })
  expect(order).toEqual(['b-1', 'a-1', 'a0', 'b0', 'b1', 'a1', 'a2', 'b2'])
  expect([a, b]).toEqual([
    [10, 11, 12],
    [20, 21, 22],
  ])
  expect(rounds).toEqual([0, 1, 2])
})
