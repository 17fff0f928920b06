// What the door answers at /reach: the package registries of the session's image, and whether the session's policy lets it
// reach them and the hosts that were asked about. An answer by policy alone: nothing is looked up or connected to.

import { z } from 'zod'

/** Most `at=host:port` of one request. */
export const MOST_REACH_QUESTIONS = 64

export const registrySchema = z.object({
  /** The package manager. */
  tool: z.string(),
  url: z.string(),
  host: z.string(),
  port: z.int(),
  /** Which file or tool named it. */
  from: z.string(),
})

export interface ReachAnswer {
  level: string
  registries: z.infer<typeof registrySchema>[]
  /** By `host:port`: null when it may be reached, else the reason of the denial. */
  reach: Record<string, string | null>
}
