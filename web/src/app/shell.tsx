// The frame: three zones at a desk, one at a time with a bar at the bottom on a phone. Keys and palette live here.
import { Outlet, useNavigate, useParams, useRouterState } from '@tanstack/react-router'
import { useState } from 'react'
import { SessionList } from '../sessions/session-list.tsx'
import { grouped, groupOf, lookOf, needsYou } from '../sessions/session-look.ts'
import { describeError } from './api.ts'
import { BottomBar, type Zone } from './bottom-bar.tsx'
import { useKeptFocus } from './kept-focus.ts'
import { useShortcuts } from './keyboard.ts'
import { Palette, type PaletteEntry } from './palette.tsx'
import { useInstallation, useSessions } from './queries.ts'
import { ShortcutSheet } from './shortcut-sheet.tsx'
import { SignIn } from './sign-in.tsx'
import { useTabTitle } from './tab-title.ts'
import { setTheme, THEMES } from './theme.ts'
import { useLiveSessions } from './use-live-sessions.ts'

export function Shell() {
  const installation = useInstallation()
  const sessions = useSessions()
  const [overlay, setOverlay] = useState<'palette' | 'keys' | null>(null)
  const problem = installation.error ?? sessions.error
  const signedOut = problem !== null && describeError(problem).code === 'unauthenticated'
  const cut = useLiveSessions(installation.isFetched && !signedOut)
  useKeptFocus()
  const zone = useZone()
  const entries = useCommands(
    () => setOverlay('keys'),
    () => setOverlay('palette'),
  )
  const { sessionId } = useParams({ strict: false })
  const current = sessions.data?.find(({ id }) => id === sessionId)
  const waiting = sessions.data?.filter(needsYou).length ?? 0
  useTabTitle(waiting, current?.title ?? null)

  if (signedOut)
    return (
      <SignIn
        onRetry={() => {
          void installation.refetch()
          void sessions.refetch()
        }}
      />
    )
  const close = () => setOverlay(null)
  return (
    <div className="grid h-[100dvh] grid-rows-[1fr_auto] md:grid-cols-[240px_1fr] md:grid-rows-1 xl:grid-cols-[280px_1fr]">
      <aside
        className={`min-h-0 min-w-0 border-line bg-surface md:border-r ${zone === 'sessions' ? '' : 'max-md:hidden'}`}
      >
        <SessionList cut={cut} onPalette={() => setOverlay('palette')} />
      </aside>
      <main className={`min-h-0 min-w-0 ${zone === 'sessions' ? 'max-md:hidden' : ''}`}>
        <Outlet />
      </main>
      <BottomBar zone={zone} waiting={waiting} sessionId={sessionId} current={current} />
      <Palette open={overlay === 'palette'} onClose={close} entries={entries} />
      <ShortcutSheet open={overlay === 'keys'} onClose={close} />
    </div>
  )
}

function useZone(): Zone {
  return useRouterState({
    select: ({ location }) => {
      if (location.pathname === '/sessions') return 'sessions'
      if (location.pathname.startsWith('/environments')) return 'other'
      const { panel } = location.search as { panel?: string }
      if (panel === undefined) return 'task'
      return panel === 'changes' ? 'changes' : 'other'
    },
  })
}

/** The commands of the palette; those that have a key answer to it as well. */
function useCommands(onKeys: () => void, onPalette: () => void): PaletteEntry[] {
  const navigate = useNavigate()
  const { sessionId } = useParams({ strict: false })
  const changesOpen = useZone() === 'changes'
  const sessions = useSessions().data ?? []
  const listed = grouped(sessions, '').flatMap(([, members]) => members)
  const open = (id: string) =>
    void navigate({ to: '/sessions/$sessionId', params: { sessionId: id } })
  const newTask = () =>
    void navigate({ to: '/' }).then(() =>
      document.querySelector<HTMLElement>('[data-prompt]')?.focus(),
    )
  const search = () =>
    void Promise.resolve(
      window.matchMedia('(width < 48rem)').matches ? navigate({ to: '/sessions' }) : undefined,
    ).then(() => document.querySelector<HTMLElement>('[data-search]')?.focus())
  const changes = () => {
    if (!sessionId) return
    const shown = changesOpen ? {} : { panel: 'changes' as const }
    void navigate({ to: '/sessions/$sessionId', params: { sessionId }, search: shown })
  }
  const network = () => {
    if (sessionId)
      void navigate({
        ...{ to: '/sessions/$sessionId', params: { sessionId }, search: { panel: 'network' } },
      })
  }
  const move = (step: number) => {
    const near = listed.filter((session) => groupOf(session) !== 'Archived')
    const at = near.findIndex(({ id }) => id === sessionId)
    const next = near[at < 0 ? 0 : Math.max(0, Math.min(near.length - 1, at + step))]
    if (next) open(next.id)
  }
  useShortcuts({
    n: newTask,
    '/': search,
    d: changes,
    j: () => move(1),
    k: () => move(-1),
    '?': onKeys,
    'Mod+k': onPalette,
  })
  return [
    { label: 'New task', hint: 'n', run: newTask },
    { label: 'Environments', hint: '', run: () => void navigate({ to: '/environments' }) },
    { label: 'Search sessions', hint: '/', run: search },
    ...(sessionId
      ? [
          { label: 'Show or hide changes', hint: 'd', run: changes },
          { label: 'Show the network', hint: '', run: network },
        ]
      : []),
    { label: 'Keys', hint: '?', run: onKeys },
    ...listed.map((session) => ({
      key: session.id,
      label: session.title,
      hint: lookOf(session).word,
      run: () => open(session.id),
    })),
    ...THEMES.map((theme) => ({ label: `Theme: ${theme}`, hint: '', run: () => setTheme(theme) })),
  ]
}
