// `errand logs`: what a session did, from any event on, and with --follow what it does.
import { type Command, InvalidArgumentError } from 'commander'
import type { SessionEvent } from '../../protocol/event.ts'
import { addCommand, type Cli, sessionId } from '../command.ts'
import type { Output } from '../deps.ts'
import { createRenderer } from '../terminal/render.ts'
import { watchSession } from '../terminal/watch.ts'
import { printNetworkLog } from './network-log.ts'

const PAGE = 1000
const NOWHERE: Output = { write: () => undefined, isTTY: false, columns: () => undefined }

export function addLogs(cli: Cli, program: Command): void {
  addCommand<{ after?: number; follow?: boolean; network?: boolean }>(
    cli,
    program,
    { specification: 'logs <id>', description: 'what a session did; with --json one event a line' },
    async ([id], { connection, print, options }) => {
      const { after = 0, follow = false } = options
      const { client } = connection
      const session = await client.getSession(sessionId(id))
      if (options.network) {
        const { onInterrupt } = cli.deps
        return printNetworkLog({ client, print, sessionId: session.id }, { follow, onInterrupt })
      }
      const output = print.isJson ? NOWHERE : cli.deps.stdout
      const { plainText } = cli
      const renderer = createRenderer({ output, quietUntil: after, plainText })
      const writeJson = (event: SessionEvent) => {
        if (event.seq > after) print.json(event)
      }
      if (follow) {
        const deps = print.isJson ? { ...cli.deps, prompt: undefined } : cli.deps
        await watchSession(
          { ...cli, deps },
          {
            ...{ connection, sessionId: session.id, renderer, liveFrom: session.lastSeq },
            ...{ isOver: () => false, unanswered: 'wait', onEvent: writeJson },
          },
        )
        return
      }
      for (let read = 0, more = true; more; ) {
        const page = await client.readEvents(session.id, { after: read, limit: PAGE })
        for (const event of page.events) {
          renderer.event(event)
          writeJson(event)
        }
        read = page.through
        more = page.more
      }
      renderer.close()
    },
  )
    .option('--after <seq>', 'only events after this number', parseSeq)
    .option('--network', 'the hosts that it asked for, as the gateway has seen them')
    .option('--follow', 'go on with what happens; Ctrl-C ends it')
}

function parseSeq(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It is not a number.')
  return Number(text)
}
