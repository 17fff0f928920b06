// What a benchmark is, and what it is given. Each is one file that exports one of these.
import type { Shutdown } from '../src/lib/shutdown.ts'
import type { Figure } from './figure.ts'

export interface BenchContext {
  /** How often what is compared is measured. */
  runs: number
  /** A folder of its own, taken away afterwards. */
  folder: string
  /** Everything that is started is added here, and ended when the benchmark is over or is broken off. */
  shutdown: Pick<Shutdown, 'add'>
  /** A line on how far it is. */
  say(text: string): void
}

export interface Benchmark {
  name: string
  /** One line for the list. */
  about: string
  run(context: BenchContext): Promise<Figure[]>
}
