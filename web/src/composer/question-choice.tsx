// Answers to a question of the agent: options to choose from, one or several, or words of one's own.
import type { Question } from '../../../src/protocol/session.ts'
import { Button } from '../ui/button.tsx'
import { Input } from '../ui/field.tsx'
import { plainText } from '../ui/plain-text.ts'
import { ChoiceButton } from './choice-button.tsx'
import type { ChoiceProps } from './question-panel.tsx'
import { readKept } from './use-kept-fields.ts'
import { useNumberKeys } from './use-number-keys.ts'

type Item = Question['items'][number]
interface Chosen {
  labels: string[]
  own: string
}
/** By the words of the question. */
type ByQuestion = Record<string, Chosen>
const NONE: Chosen = { labels: [], own: '' }

export function QuestionChoice({ question, busy, draft, onDraft, onAnswer }: ChoiceProps) {
  const items: Item[] = question.items.length > 0 ? question.items : [openItem(question)]
  const chosen = readKept<ByQuestion>(draft)
  const setChosen = (item: Item, next: (old: Chosen) => Chosen) =>
    onDraft((old) => {
      const all = readKept<ByQuestion>(old)
      return JSON.stringify({ ...all, [item.question]: next(all[item.question] ?? NONE) })
    })
  const only = items.length === 1 ? items[0] : undefined
  /** A single question with one answer is answered by the press itself. */
  const atOnce = only !== undefined && !only.multiSelect
  const answerOf = (item: Item) => words(chosen[item.question] ?? NONE)
  const complete = items.every((item) => answerOf(item) !== '')
  const submit = (override: Record<string, string> = {}) => {
    const answers = Object.fromEntries(
      items.map((item) => [item.question, override[item.question] ?? answerOf(item)]),
    )
    onAnswer({ allow: true, answers, message: '' })
  }
  const choose = (item: Item, label: string) => {
    if (atOnce) return submit({ [item.question]: label })
    setChosen(item, (old) => toggled(item, old, label))
  }
  useNumberKeys((index) => {
    const open = only ?? items.find((item) => answerOf(item) === '')
    const option = open?.options[index]
    if (open && option && !busy) choose(open, option.label)
  })
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault()
        if (complete && !busy) submit()
      }}
      className="flex flex-col gap-4"
    >
      {items.map((item) => (
        <QuestionFields
          key={item.question}
          item={item}
          chosen={chosen[item.question] ?? NONE}
          showNumbers={item === (only ?? items.find((other) => answerOf(other) === ''))}
          atOnce={atOnce}
          busy={busy}
          onChoose={(label) => choose(item, label)}
          onWrite={(own) =>
            setChosen(item, ({ labels }) => ({ labels: item.multiSelect ? labels : [], own }))
          }
        />
      ))}
      {!atOnce || complete ? (
        <Button type="submit" tone="accent" disabled={!complete} busy={busy} className="self-start">
          Send answer
        </Button>
      ) : null}
    </form>
  )
}

function QuestionFields({
  item,
  chosen,
  showNumbers,
  atOnce,
  busy,
  onChoose,
  onWrite,
}: {
  item: Item
  chosen: Chosen
  showNumbers: boolean
  atOnce: boolean
  busy: boolean
  onChoose: (label: string) => void
  onWrite: (text: string) => void
}) {
  return (
    <fieldset className="flex min-w-0 flex-col gap-2">
      <legend className="mb-2 text-lg font-semibold [overflow-wrap:anywhere]">
        {plainText(item.question)}
        {item.multiSelect ? (
          <span className="block text-sm font-normal text-muted">Choose one or several.</span>
        ) : null}
      </legend>
      {item.options.map((option, index) => (
        <ChoiceButton
          key={option.label}
          number={showNumbers && index < 9 ? index + 1 : null}
          label={option.label}
          description={option.description}
          chosen={atOnce ? undefined : chosen.labels.includes(option.label)}
          disabled={busy}
          onChoose={() => onChoose(option.label)}
        />
      ))}
      <Input
        value={chosen.own}
        onChange={(event) => onWrite(event.target.value)}
        aria-label={`Your own answer to: ${item.question}`}
        placeholder={item.options.length > 0 ? 'Or in your own words' : 'Your answer'}
        disabled={busy}
      />
    </fieldset>
  )
}

function toggled(item: Item, chosen: Chosen, label: string): Chosen {
  if (!item.multiSelect) return { labels: [label], own: '' }
  const labels = chosen.labels.includes(label)
    ? chosen.labels.filter((other) => other !== label)
    : [...chosen.labels, label]
  return { ...chosen, labels }
}

function words({ labels, own }: Chosen): string {
  return [...labels, own.trim()].filter(Boolean).join(', ')
}

function openItem(question: Question): Item {
  return { question: question.title, header: '', multiSelect: false, options: [] }
}
