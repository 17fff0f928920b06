// Scenarios of the scripted model: readable JSON files that say what the model answers, turn by turn and step by step.
// Which step applies follows from the conversation in the request alone (see conversation.ts).
import { readdirSync, readFileSync } from 'node:fs'
import { z } from 'zod'
import type { Conversation } from './conversation.ts'

const faultSchema = z.discriminatedUnion('kind', [
  /** An error answer instead of a message. */
  z.strictObject({
    kind: z.literal('status'),
    status: z.int(),
    retryAfterSeconds: z.number().optional(),
  }),
  /** The connection is cut after so many stream events. */
  z.strictObject({ kind: z.literal('cut'), afterEvents: z.int() }),
  /** The stream stays open and says nothing more after so many events. */
  z.strictObject({ kind: z.literal('stall'), afterEvents: z.int() }),
  /** The stream ends with an `error` event after so many events. */
  z.strictObject({ kind: z.literal('error-event'), afterEvents: z.int() }),
  /** No answer at all. */
  z.strictObject({ kind: z.literal('hang') }),
])
export type Fault = z.infer<typeof faultSchema>

const answerSchema = z.strictObject({
  /** Only when this pattern is found in the newest tool result; for steps with several answers. */
  ifLastResult: z.string().optional(),
  think: z.string().optional(),
  say: z.string().optional(),
  use: z
    .array(z.strictObject({ tool: z.string(), input: z.record(z.string(), z.unknown()) }))
    .optional(),
  /** Milliseconds between two chunks, instead of the server's own pace. */
  paceMs: z.int().optional(),
  fault: faultSchema.optional(),
})
export type Answer = z.infer<typeof answerSchema>

const scenarioSchema = z.strictObject({
  name: z.string(),
  about: z.string(),
  /** Taken only when it is asked for by name, never found by its prompt among all scenarios. */
  byNameOnly: z.boolean().optional(),
  turns: z
    .array(
      z.strictObject({
        /** Pattern (any case) that the prompt of this turn contains. Later turns need the earlier ones to have been asked. */
        prompt: z.string(),
        /** One answer for each request of the turn; of a list the first whose `ifLastResult` is found. */
        steps: z.array(z.union([answerSchema, z.array(answerSchema)])).min(1),
      }),
    )
    .min(1),
})
export type Scenario = z.infer<typeof scenarioSchema>

const FOLDER = new URL('./scenarios/', import.meta.url)

/** All scenarios that are found by their prompts, or those with the given names in that order. */
export function loadScenarios(names?: string[]): Scenario[] {
  if (names) return names.map((name) => readScenario(`${name}.json`))
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map(readScenario)
    .filter((scenario) => !scenario.byNameOnly)
}

/** What to answer in this conversation; undefined when no scenario knows the prompt. */
export function chooseAnswer(
  scenarios: Scenario[],
  conversation: Conversation,
): { scenario: Scenario; answer: Answer } | undefined {
  for (const scenario of scenarios) {
    const turn = scenario.turns.findLast((_, index) => turnApplies(scenario, index, conversation))
    if (!turn) continue
    const step = turn.steps[conversation.answered]
    const answer = (Array.isArray(step) ? step : [step]).find(
      (candidate) =>
        candidate?.ifLastResult === undefined ||
        new RegExp(candidate.ifLastResult, 'm').test(conversation.lastToolResult),
    )
    return {
      scenario,
      answer: fillIn(answer ?? { say: 'There is nothing left to do.' }, conversation),
    }
  }
  return undefined
}

function turnApplies(scenario: Scenario, index: number, { prompts }: Conversation): boolean {
  const asked = (pattern: string, prompt: string) => new RegExp(pattern, 'i').test(prompt)
  const earlier = prompts.slice(0, -1)
  return scenario.turns
    .slice(0, index + 1)
    .every(({ prompt }, i) =>
      i === index
        ? asked(prompt, prompts.at(-1) ?? '')
        : earlier.some((other) => asked(prompt, other)),
    )
}

/**
 * Fills `{{cwd}}`, `{{prompt}}`, `{{firstPrompt}}`, `{{lastToolResult}}`, and first groups: `{{match:PATTERN}}` of the newest
 * result, `{{asked:PATTERN}}` of the newest prompt that has it.
 */
function fillIn<T>(value: T, conversation: Conversation): T {
  if (typeof value === 'string') return fillText(value, conversation) as T
  if (Array.isArray(value)) return value.map((item) => fillIn(item, conversation)) as T
  if (typeof value !== 'object' || value === null) return value
  const filled = Object.entries(value).map(([key, item]) => [key, fillIn(item, conversation)])
  return Object.fromEntries(filled) as T
}

function fillText(text: string, conversation: Conversation): string {
  return text.replace(/\{\{(\w+)(?::(.*?))?\}\}/g, (whole, name: string, pattern?: string) => {
    switch (name) {
      case 'cwd':
        return conversation.cwd
      case 'prompt':
        return conversation.prompts.at(-1) ?? ''
      case 'firstPrompt':
        return conversation.prompts[0] ?? ''
      case 'lastToolResult':
        return conversation.lastToolResult
      case 'match':
        return new RegExp(pattern ?? '', 'm').exec(conversation.lastToolResult)?.[1] ?? '?'
      case 'asked':
        return newestMatch(conversation.prompts, new RegExp(pattern ?? '', 'i')) ?? '?'
      default:
        return whole
    }
  })
}

function newestMatch(texts: string[], pattern: RegExp): string | undefined {
  const found = texts.findLast((text) => pattern.test(text))
  return found === undefined ? undefined : pattern.exec(found)?.[1]
}

function readScenario(file: string): Scenario {
  return scenarioSchema.parse(JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')))
}
