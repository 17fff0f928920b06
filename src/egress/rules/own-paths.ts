// What a session asks of a host and this installation answers itself: the paths of the session's own repository, so that its
// true URL works inside without a credential. The roof says which paths those are and who answers.
import type { IncomingMessage, ServerResponse } from 'node:http'

/** Requests to a host that this installation answers itself, although the client believes to speak with the host. */
export interface OwnPaths {
  /** `path` is in origin form. */
  takes(path: string): boolean
  /** Answers it; may reject, which breaks the connection off. */
  serve(call: {
    sessionId: string
    request: IncomingMessage
    response: ServerResponse
    /** As `takes` saw it. */
    path: string
  }): Promise<void>
}

/** Own paths at a host, if there are any: its TLS, if it speaks any, is ended then, and the rest of it goes by the session's rules. */
export type OwnPathsAt = (
  sessionId: string,
  at: { host: string; port: number },
) => OwnPaths | undefined | Promise<OwnPaths | undefined>
