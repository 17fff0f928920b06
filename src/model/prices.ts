// What a model request costs at list price. Data and pure functions; a model that is not in the list has no cost, never 0.
// Source: public list prices in US dollars per million tokens, as Claude Code 2.1.330 counts with. Discounts, priority
// tiers and prices of resellers are not known here.

interface Price {
  input: number
  output: number
  cacheRead: number
  cacheWrite5m: number
  cacheWrite1h: number
}

/** Prices of one model family; `long` holds from so many prompt tokens on, for the whole request. */
interface PriceList extends Price {
  long?: Price & { abovePromptTokens: number }
}

export interface BilledUsage {
  inputTokens: number
  outputTokens: number
  cacheReadTokens: number
  /** All tokens written to the cache, of both lifetimes. */
  cacheCreationTokens: number
  /** The part of cacheCreationTokens that is kept for an hour. */
  cacheCreation1hTokens: number
  /** `us` costs more; anything else does not. */
  inferenceGeo?: string
  /** `fast` has prices of its own that are not in the list. */
  speed?: string
}

/** Cache writes cost 1.25 and 2 times the input, in every list so far. */
const price = (input: number, output: number, cacheRead: number): Price => ({
  input,
  output,
  cacheRead,
  cacheWrite5m: input * 1.25,
  cacheWrite1h: input * 2,
})

const PRICES: ReadonlyMap<string, PriceList> = new Map(
  Object.entries({
    'claude-fable-5-2': price(8, 40, 0.2),
    'claude-fable-5-1': price(10, 50, 0.25),
    'claude-fable-5': price(10, 50, 1),
    'claude-mythos-5-2': price(8, 40, 0.2),
    'claude-mythos-5-1': price(10, 50, 0.25),
    'claude-mythos-5': price(10, 50, 1),
    'claude-opus-5-5': price(4, 20, 0.2),
    'claude-opus-5': price(5, 25, 0.5),
    'claude-opus-4-8': price(5, 25, 0.5),
    'claude-opus-4-7': price(5, 25, 0.5),
    'claude-opus-4-6': price(5, 25, 0.5),
    'claude-opus-4-5': price(5, 25, 0.5),
    'claude-opus-4-1': price(15, 75, 1.5),
    'claude-opus-4': price(15, 75, 1.5),
    'claude-sonnet-5-5': price(2, 10, 0.1),
    'claude-sonnet-5': price(2, 10, 0.2),
    'claude-sonnet-4-6': price(3, 15, 0.3),
    'claude-sonnet-4-5': price(3, 15, 0.3),
    'claude-sonnet-4': price(3, 15, 0.3),
    'claude-3-7-sonnet': price(3, 15, 0.3),
    'claude-3-5-sonnet': price(3, 15, 0.3),
    'claude-haiku-5-5': {
      ...price(0.1, 0.5, 0.01),
      long: { abovePromptTokens: 100_000, ...price(0.5, 2.5, 0.05) },
    },
    'claude-haiku-4-5': price(1, 5, 0.1),
    'claude-3-5-haiku': price(0.8, 4, 0.08),
  }),
)

const US_FACTOR = 1.1
const TOKENS = 1_000_000

/** US dollars, or undefined when the list does not know the price. */
export function costUsd(model: string, usage: BilledUsage): number | undefined {
  const list = findPrices(model)
  if (!list || usage.speed === 'fast') return undefined
  const prompt = usage.inputTokens + usage.cacheReadTokens + usage.cacheCreationTokens
  const { long } = list
  const price = long && prompt > long.abovePromptTokens ? long : list
  const cost =
    usage.inputTokens * price.input +
    usage.outputTokens * price.output +
    usage.cacheReadTokens * price.cacheRead +
    (usage.cacheCreationTokens - usage.cacheCreation1hTokens) * price.cacheWrite5m +
    usage.cacheCreation1hTokens * price.cacheWrite1h
  return (cost / TOKENS) * (usage.inferenceGeo === 'us' ? US_FACTOR : 1)
}

/** A name may end in a date, `latest` or `[1m]`; a minor version that is not in the list has no price. */
function findPrices(model: string): PriceList | undefined {
  return PRICES.get(model.replace(/\[1m\]$/, '').replace(/-(\d{8}|latest|0)$/, ''))
}
