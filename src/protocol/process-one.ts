// Process 1 of every sandbox: what the runtime starts and the runner finds above itself.
import { SANDBOX_PATHS } from './network.ts'

/** Its environment, which the runner inherits. */
export const SANDBOX_ENVIRONMENT = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/errand/bin',
  HOME: '/root',
  LANG: 'C.UTF-8',
} as const

/** Of the text that process 1 reads before it starts the runner. */
export const MAX_BEFORE_RUNNER_BYTES = 64 << 10

/**
 * A text for /bin/sh. What is to run before the runner may start one process, leave its number in `ahead` and open 3 to 6, which the
 * runner gets. Node.js reaps only its own children; a shell reaps all, hands SIGTERM on and ends as the runner does.
 */
export const PROCESS_ONE = `trap 'kill -TERM $c' TERM INT
ahead=
. ${SANDBOX_PATHS.beforeRunner}
${SANDBOX_PATHS.node} ${SANDBOX_PATHS.runner} $ahead & c=$!
exec 3>&- 4>&- 5>&- 6>&-
while :; do wait $c; s=$?; kill -0 $c 2>/dev/null || exit $s; done`
