// Copies a text and says so for a moment.
import { useEffect, useState } from 'react'
import { IconButton } from './button.tsx'
import { Glyph } from './glyph.tsx'

const SHOWN_MS = 1500

export function CopyButton({ text, label }: { text: string; label: string }) {
  const [state, setState] = useState<'idle' | 'copied' | 'refused'>('idle')
  useEffect(() => {
    if (state === 'idle') return
    const timer = setTimeout(() => setState('idle'), SHOWN_MS)
    return () => clearTimeout(timer)
  }, [state])
  const copy = () => {
    navigator.clipboard.writeText(text).then(
      () => setState('copied'),
      () => setState('refused'),
    )
  }
  const said = { idle: label, copied: 'Copied', refused: 'The browser refused to copy' }[state]
  return (
    <IconButton label={said} onClick={copy}>
      <Glyph name={{ idle: 'copy', copied: 'check', refused: 'cross' }[state] as 'copy'} />
      <span role="status" className="sr-only">
        {state === 'idle' ? '' : said}
      </span>
    </IconButton>
  )
}
