// A question in the course of things: what was asked and what was answered. The open one is answered at the bottom.
import type { Answer, Question } from '../../../src/protocol/session.ts'
import type { TimelineItem } from '../../../src/protocol/timeline.ts'
import { Glyph } from '../ui/glyph.tsx'
import { plainText } from '../ui/plain-text.ts'

type Asked = Extract<TimelineItem, { kind: 'question' }>

export function QuestionItem({ item }: { item: Asked }) {
  const { question, answer, open } = item
  return (
    <section aria-label="Question" className="mt-2 flex gap-2 py-1 text-sm">
      <Glyph
        name={open ? 'diamond' : 'check'}
        className={`mt-0.5 ${open ? 'text-accent' : 'text-muted'}`}
      />
      <div className="min-w-0 [overflow-wrap:anywhere]">
        <p>{plainText(asked(question))}</p>
        <p className="text-muted">
          {open ? 'waits for your answer below' : answered(question, answer)}
        </p>
      </div>
    </section>
  )
}

function asked(question: Question): string {
  return question.items.map((item) => item.question).join(' ') || question.title
}

function answered(question: Question, answer: Answer | null): string {
  if (!answer) return 'closed without an answer'
  const said = Object.values(answer.answers).filter(Boolean).join('; ')
  const words = said || answer.message
  if (question.kind === 'question') return words ? `You: ${words}` : 'You answered'
  const verdict = answer.allow
    ? question.kind === 'plan'
      ? 'You approved the plan'
      : 'You allowed it'
    : question.kind === 'plan'
      ? 'You sent the plan back'
      : 'You denied it'
  return words ? `${verdict}: ${words}` : verdict
}
