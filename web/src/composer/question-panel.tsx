// What the agent needs from somebody: at the bottom, large, with the answers as buttons. Number keys choose them.
import type { Answer, Question } from '../../../src/protocol/session.ts'
import { describeError } from '../app/api.ts'
import type { SessionRequests } from '../sessions/use-session-requests.ts'
import { Button } from '../ui/button.tsx'
import { Failure } from '../ui/failure.tsx'
import { Glyph } from '../ui/glyph.tsx'
import { plainText } from '../ui/plain-text.ts'
import { Since } from '../ui/time.tsx'
import { PermissionChoice } from './permission-choice.tsx'
import { PlanChoice } from './plan-choice.tsx'
import { QuestionChoice } from './question-choice.tsx'
import { type SetDraft, useDraft } from './use-draft.ts'
import { useReturnFocus } from './use-return-focus.ts'

const TITLES: Record<Question['kind'], string> = {
  question: 'The agent asks',
  permission: 'The agent asks for permission',
  plan: 'The agent has a plan',
}

export interface ChoiceProps {
  question: Question
  busy: boolean
  /** What was written or chosen and not sent yet. */
  draft: string
  onDraft: SetDraft
  onAnswer: (answer: Answer) => void
}

export function QuestionPanel({
  question,
  more,
  requests,
}: {
  question: Question
  /** How many further questions wait behind this one. */
  more: number
  requests: SessionRequests
}) {
  const { answer } = requests
  const focus = useReturnFocus()
  const [draft, onDraft] = useDraft(`answer:${question.id}`)
  const send = (given: NonNullable<typeof answer.variables>) =>
    // Also once the question is not shown any more: callbacks given to `mutate` are not called then.
    void answer.mutateAsync(given).then(
      () => onDraft(''),
      () => undefined,
    )
  const onAnswer = (given: Answer) => send({ questionId: question.id, answer: given })
  const failed = answer.error && answer.variables?.questionId === question.id
  const error = failed ? describeError(answer.error) : null
  const choice: ChoiceProps = { question, busy: answer.isPending, draft, onDraft, onAnswer }
  return (
    <section
      {...focus}
      aria-label={TITLES[question.kind]}
      data-question={question.kind}
      className="mb-2 flex max-h-[62dvh] animate-appear flex-col rounded-card border-2 border-accent bg-accent-soft"
    >
      <header className="flex items-center gap-2 px-4 pt-3 text-sm text-accent">
        <Glyph name="diamond" />
        <h2 className="font-medium">{TITLES[question.kind]}</h2>
        <span className="ml-auto text-xs">
          {more > 0 ? `${more} more after this, ` : ''}
          waiting <Since at={question.askedAt} />
        </span>
      </header>
      <div className="min-h-0 overflow-y-auto px-4 pt-2 pb-4">
        {question.title && question.kind !== 'question' ? (
          <p className="text-lg font-semibold [overflow-wrap:anywhere]">
            {plainText(question.title)}
          </p>
        ) : null}
        <Choice {...choice} />
        {error ? (
          <div className="mt-3">
            <Failure what="The answer was not taken" why={error.message} reason={error.reason}>
              <Button onClick={() => answer.variables && send(answer.variables)}>
                Send it again
              </Button>
            </Failure>
          </div>
        ) : null}
      </div>
    </section>
  )
}

function Choice(props: ChoiceProps) {
  switch (props.question.kind) {
    case 'permission':
      return <PermissionChoice {...props} />
    case 'plan':
      return <PlanChoice {...props} />
    case 'question':
      return <QuestionChoice {...props} />
  }
}
