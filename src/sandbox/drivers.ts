// The kinds of sandbox that sandboxd can drive; a new kind is one file and one line here.
import type { SandboxDriver } from './driver.ts'
import { createOciDriver } from './oci/oci.ts'
import type { OciDriverConfig } from './oci/oci-context.ts'

type CreateDriver = (
  config: OciDriverConfig,
  report: (what: string, error: unknown) => void,
) => Promise<SandboxDriver>

export const DRIVERS: Record<string, CreateDriver> = {
  oci: createOciDriver,
}
