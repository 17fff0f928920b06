// Sessions on a setup script that does next to nothing, for benchmarks: how long from submit to the first output of a command that
// reads what the script made.
import { type BenchErrand, TURN_ENDS } from './installation.ts'

export const MADE = 'made by the script'
export const SETUP = `mkdir -p /opt/made && echo "${MADE}" > /opt/made/file`

export interface LayerSession {
  source: { kind: 'upload'; uploadId: string }
  environment: string
  prompt?: string
}

/** Resolves at the end of its turn; the session is left. */
export async function runOnLayer(
  errand: BenchErrand,
  { prompt = 'cat /opt/made/file', ...session }: LayerSession,
): Promise<{ id: string; durationMs: number }> {
  const startedAt = performance.now()
  const { id } = await errand.client.createSession({ ...session, prompt, kind: 'command' })
  const events = await errand.follow(id, ['command.output', ...TURN_ENDS])
  const durationMs = performance.now() - startedAt
  const last = events.at(-1)?.body
  if (last?.type !== 'command.output' || !last.text.includes(MADE))
    throw new Error(`the command did not find what the script made: ${JSON.stringify(last)}`)
  await errand.follow(id, TURN_ENDS)
  return { id, durationMs }
}
