// What a command that somebody ran without the agent wrote.
import { CodeBlock } from './code-block.tsx'

export function OutputItem({ text }: { text: string }) {
  return <CodeBlock text={text} keep="end" className="mt-1" />
}
