// Which form of the Messages API the agent is to speak to its model door. Holds no secret: keys are added by the gateway.
import { z } from 'zod'

/** Region and project are the installation's; a request for others is refused. */
export const modelFormSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('messages') }),
  z.object({ kind: z.literal('bedrock'), region: z.string() }),
  z.object({ kind: z.literal('vertex'), region: z.string(), project: z.string() }),
])
export type ModelForm = z.infer<typeof modelFormSchema>

/** What a sandbox is told of the model. */
export const modelInsideSchema = z.object({
  form: modelFormSchema,
  /** Variables with the names of models that the owner chose; an environment's own win. */
  names: z.record(z.string(), z.string()),
})
export type ModelInside = z.infer<typeof modelInsideSchema>
