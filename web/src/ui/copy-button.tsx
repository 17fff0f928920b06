// Copies a text and says so for a moment.
import { useEffect, useState } from 'react'
import { IconButton } from './button.tsx'
import { Glyph } from './glyph.tsx'

const SHOWN_MS = 1500

/** Over plain HTTP, but from this very machine, a browser gives no clipboard: there the text is selected and copied. */
async function copyText(text: string): Promise<void> {
  const clipboard: Clipboard | undefined = navigator.clipboard
  if (clipboard) return clipboard.writeText(text)
  const focused = document.activeElement
  const box = document.createElement('textarea')
  box.value = text
  box.readOnly = true
  box.className = 'sr-only'
  document.body.append(box)
  box.select()
  const isCopied = document.execCommand('copy')
  box.remove()
  if (focused instanceof HTMLElement) focused.focus({ preventScroll: true })
  if (!isCopied) throw new Error('refused')
}

export function CopyButton({ text, label }: { text: string; label: string }) {
  const [state, setState] = useState<'idle' | 'copied' | 'refused'>('idle')
  useEffect(() => {
    if (state === 'idle') return
    const timer = setTimeout(() => setState('idle'), SHOWN_MS)
    return () => clearTimeout(timer)
  }, [state])
  const copy = () => {
    copyText(text).then(
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
