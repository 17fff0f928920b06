// Small drawn signs of 16 px (of text of the usual size) in the colour of the text. They stand beside a word or carry a label of their own.

const PATHS = {
  dot: <circle cx="8" cy="8" r="4" fill="currentColor" stroke="none" />,
  half: (
    <>
      <circle cx="8" cy="8" r="4.5" />
      <path d="M8 3.5a4.5 4.5 0 0 1 0 9z" fill="currentColor" stroke="none" />
    </>
  ),
  diamond: <path d="M8 2.5 13.5 8 8 13.5 2.5 8z" fill="currentColor" stroke="none" />,
  check: <path d="m3.5 8.5 3 3 6-7" />,
  dash: <path d="M4.5 8h7" />,
  cross: <path d="m4.5 4.5 7 7m0-7-7 7" />,
  ring: <circle cx="8" cy="8" r="4.5" />,
  plus: <path d="M8 3.5v9M3.5 8h9" />,
  chevron: <path d="m6 4 4 4-4 4" />,
  down: <path d="m4.5 6.5 3.5 3.5 3.5-3.5" />,
  search: (
    <>
      <circle cx="7" cy="7" r="3.75" />
      <path d="m10 10 3 3" />
    </>
  ),
  more: (
    <g fill="currentColor" stroke="none">
      <circle cx="3.5" cy="8" r="1.2" />
      <circle cx="8" cy="8" r="1.2" />
      <circle cx="12.5" cy="8" r="1.2" />
    </g>
  ),
  copy: (
    <>
      <rect x="5.5" y="5.5" width="7.5" height="7.5" rx="1.5" />
      <path d="M10.5 3H4.5A1.5 1.5 0 0 0 3 4.5v6" />
    </>
  ),
  stop: <rect x="4" y="4" width="8" height="8" rx="1.5" fill="currentColor" stroke="none" />,
  send: <path d="M8 13V3.5M4 7.5l4-4 4 4" />,
  back: <path d="M10 4 6 8l4 4" />,
  blocked: (
    <>
      <circle cx="8" cy="8" r="5" />
      <path d="m4.5 4.5 7 7" />
    </>
  ),
  branch: (
    <>
      <circle cx="4.5" cy="4" r="1.5" />
      <circle cx="4.5" cy="12" r="1.5" />
      <circle cx="11.5" cy="5.5" r="1.5" />
      <path d="M4.5 5.5v5M11.5 7c0 2.5-4 2-6.5 3.5" />
    </>
  ),
  push: <path d="M8 13V6M5 8.5 8 5.5l3 3M3.5 3h9" />,
  list: <path d="M3 4.5h10M3 8h10M3 11.5h10" />,
  text: <path d="M3 4h10M3 8h7M3 12h9" />,
  diff: <path d="M8 3v6M5 6h6M5 12.5h6" />,
  note: (
    <>
      <circle cx="8" cy="8" r="5.5" />
      <path d="M8 7.5V11M8 5.2v.1" />
    </>
  ),
} as const

export type GlyphName = keyof typeof PATHS

export function Glyph({ name, className }: { name: GlyphName; className?: string }) {
  return (
    <svg
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      className={`size-4 shrink-0 ${className ?? ''}`}
    >
      {PATHS[name]}
    </svg>
  )
}
