// Puts a question of the agent to the person at the terminal, and turns words of a command line into an answer.
import type { AnswerBody } from '../../protocol/api.ts'
import { AppError } from '../../protocol/errors.ts'
import type { Question } from '../../protocol/session.ts'
import { plainLine } from './plain-text.ts'

type AskLine = (question: string) => Promise<string>

export async function askQuestion(question: Question, ask: AskLine): Promise<AnswerBody> {
  if (question.kind !== 'question') return askPermission(question, ask)
  const answers: Record<string, string> = {}
  for (const item of question.items) {
    const reply = await askUntil(ask, `${plainLine(item.header || item.question)} > `, (line) =>
      chooseOption(item, line),
    )
    answers[item.question] = reply
  }
  return { allow: true, answers }
}

async function askPermission({ kind }: Question, ask: AskLine): Promise<AnswerBody> {
  const text = kind === 'plan' ? 'Go ahead with this plan?' : 'Allow?'
  const line = (await ask(`${text} [y]es, or say what instead > `)).trim()
  if (/^(y|yes)$/i.test(line)) return { allow: true }
  return { allow: false, message: /^(n|no)?$/i.test(line) ? '' : line }
}

async function askUntil(
  ask: AskLine,
  text: string,
  read: (line: string) => string | undefined,
): Promise<string> {
  for (;;) {
    const reply = read(await ask(text))
    if (reply !== undefined) return reply
  }
}

type Item = Question['items'][number]

/** Numbers or labels of options (several by comma where that is asked), else the words themselves. */
function chooseOption({ options, multiSelect }: Item, line: string): string | undefined {
  const words = line.trim()
  if (words === '') return undefined
  const find = (word: string) => {
    const index = /^\d{1,3}$/.test(word) ? Number(word) - 1 : -1
    return (
      options[index]?.label ??
      options.find(({ label }) => label.toLowerCase() === word.toLowerCase())?.label
    )
  }
  const whole = find(words)
  if (whole !== undefined || !multiSelect) return whole ?? words
  const parts = words.split(',').map((word) => find(word.trim()))
  return parts.every((label) => label !== undefined) ? parts.join(', ') : words
}

export interface AnswerWords {
  choices: string[]
  allow?: boolean
  message?: string
}

/** What `errand answer` says. Undefined: nothing was said, so somebody must be asked. */
export function parseAnswer(question: Question, words: AnswerWords): AnswerBody | undefined {
  const { choices, allow, message } = words
  if (question.kind !== 'question') {
    if (choices.length > 0) {
      const reason = 'answer_unfitting'
      throw new AppError('invalid', reason, 'this question is answered with --allow or --deny')
    }
    return allow === undefined ? undefined : { allow, message }
  }
  if (choices.length === 0) return allow === false ? { allow: false, message } : undefined
  if (choices.length !== question.items.length) {
    const text = `this asks for ${question.items.length} answers and got ${choices.length}`
    throw new AppError('invalid', 'answer_unfitting', text)
  }
  const pairs = question.items.map((item, index) => [
    item.question,
    chooseOption(item, choices[index] ?? '') ?? '',
  ])
  return { allow: true, answers: Object.fromEntries(pairs), message }
}
