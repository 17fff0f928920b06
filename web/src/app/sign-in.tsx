// Shown to somebody who is not signed in: where the one-time link comes from.
import { Button } from '../ui/button.tsx'

export function SignIn({ onRetry }: { onRetry: () => void }) {
  const refused = new URLSearchParams(window.location.search).get('login') === 'invalid'
  return (
    <main className="mx-auto flex h-full max-w-[30rem] flex-col justify-center gap-4 px-6 pb-[15vh]">
      <h1 className="text-2xl font-semibold tracking-tight">Sign in to Errand</h1>
      {refused ? (
        <p role="alert" className="text-bad">
          That link was used already or is too old. Each link works once.
        </p>
      ) : null}
      <p>
        Open the one-time link that <code className="code-text">errand up</code> printed, or make a
        new one on the machine that Errand runs on:
      </p>
      <pre className="code-text rounded-control bg-surface px-3 py-2">errand login</pre>
      <p className="text-muted">The link signs this browser in. There is no password.</p>
      <Button onClick={onRetry} className="self-start">
        I have opened it
      </Button>
    </main>
  )
}
