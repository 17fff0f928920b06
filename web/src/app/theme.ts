// Light, dark, or what the system says; kept in this browser.
export const THEMES = ['system', 'light', 'dark'] as const
export type Theme = (typeof THEMES)[number]
const KEY = 'theme'

export function applyStoredTheme(): void {
  show(localStorage.getItem(KEY))
}

export function setTheme(theme: Theme): void {
  localStorage.setItem(KEY, theme)
  show(theme)
}

function show(theme: string | null): void {
  const { documentElement: root } = document
  if (theme === 'light' || theme === 'dark') root.dataset.theme = theme
  else delete root.dataset.theme
}
