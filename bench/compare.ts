// The common runner of all comparisons: what is compared takes turns, so that whatever else the machine does at the time
// falls on all alike. Warm-up rounds are not counted.

/** Does it once and resolves with the measured value; what it has to clear away is not part of that. */
export type Measure = (round: number) => Promise<number>

export interface CompareOptions {
  runs: number
  warmUps?: number
  /** Called before each counted round. */
  onRound?: (round: number) => void
}

/** The samples of each contender, in the order in which they were given. */
export async function compare<const Contenders extends readonly Measure[]>(
  contenders: Contenders,
  { runs, warmUps = 1, onRound }: CompareOptions,
): Promise<{ [Index in keyof Contenders]: number[] }> {
  const samples = contenders.map((): number[] => [])
  for (let round = -warmUps; round < runs; round++) {
    if (round >= 0) onRound?.(round)
    for (const index of orderOf(contenders.length, round)) {
      const value = await contenders[index]?.(round)
      if (round >= 0 && value !== undefined) samples[index]?.push(value)
    }
  }
  return samples as { [Index in keyof Contenders]: number[] }
}

/** Who goes first changes with each round. */
function orderOf(count: number, round: number): number[] {
  const order = Array.from({ length: count }, (_, index) => index)
  return round % 2 === 0 ? order : order.reverse()
}
