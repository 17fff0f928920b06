// Keeps zod from probing for `eval`, which the content security policy forbids. Must be imported before every schema.
import { config } from 'zod'

config({ jitless: true })
