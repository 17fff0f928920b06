// The environment variables of the agent and of commands, and what Claude Code's settings may not change. Pure.
// Nothing here is a secret: the key is a placeholder and the gateway knows the session by its socket.
import type { ModelForm } from '../../protocol/model-endpoint.ts'
import { DOOR_HOST, KEY_PLACEHOLDER } from '../../protocol/network.ts'
import type { AssignedAdditional, RunnerBoot, RunnerSetup } from '../../protocol/runner-frames.ts'

const DOOR = `http://${DOOR_HOST}`
/** With its port: curl takes 1080 for a proxy that names none. */
const PROXY = `${DOOR}:80`
const NO_PROXY = `localhost,127.0.0.1,::1,${DOOR_HOST}`
const CERTIFICATE_VARIABLES = [
  'NODE_EXTRA_CA_CERTS',
  'SSL_CERT_FILE',
  'REQUESTS_CA_BUNDLE',
  'CURL_CA_BUNDLE',
  'GIT_SSL_CAINFO',
  'PIP_CERT',
]
/** Where distributions keep the authorities that they trust, in the order of preference. */
export const CERTIFICATE_FILES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
]
const TOOLS_FOLDER = '/opt/errand/bin'
const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Marks every process that the agent started, so that what it left behind can be found and ended. */
export const RUN_MARK = 'ERRAND_AGENT_RUN'
/** Marks what a person started by a command: it outlives the agent. */
export const COMMAND_MARK = 'ERRAND_COMMAND_RUN'

export type Variables = Record<string, string>

/** How the way out works. Neither an environment nor a repository's settings may change it. */
export function transportVariables(form: ModelForm): Variables {
  return {
    ...modelDoorVariables(form),
    HTTP_PROXY: PROXY,
    HTTPS_PROXY: PROXY,
    http_proxy: PROXY,
    https_proxy: PROXY,
    NO_PROXY,
    no_proxy: NO_PROXY,
    IS_SANDBOX: '1',
    DISABLE_AUTOUPDATER: '1',
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1',
  }
}

/** The Messages API unless told. */
export function transportFor(model: RunnerBoot['model']): Variables {
  return transportVariables(model?.form ?? { kind: 'messages' })
}

/** What a sandbox's own environment is for an agent: with the names of models. */
export function inheritedWith(model: RunnerBoot['model'], inherited: Variables): Variables {
  return { ...inherited, ...model?.names }
}

/** Where Claude Code asks its model; what proves who asks is added outside. */
export function modelDoorVariables(form: ModelForm, door = `${DOOR}/model`): Variables {
  switch (form.kind) {
    case 'messages':
      return { ANTHROPIC_BASE_URL: door, ANTHROPIC_API_KEY: KEY_PLACEHOLDER }
    case 'bedrock':
      return {
        CLAUDE_CODE_USE_BEDROCK: '1',
        CLAUDE_CODE_SKIP_BEDROCK_AUTH: '1',
        ANTHROPIC_BEDROCK_BASE_URL: `${door}/bedrock`,
      }
    case 'vertex':
      return {
        CLAUDE_CODE_USE_VERTEX: '1',
        CLAUDE_CODE_SKIP_VERTEX_AUTH: '1',
        ANTHROPIC_VERTEX_BASE_URL: `${door}/vertex`,
        ANTHROPIC_VERTEX_PROJECT_ID: form.project,
        CLOUD_ML_REGION: form.region,
      }
  }
}

/** Programs with a list of their own are told to trust what the image trusts; a file that is missing would break them. */
export function certificateVariables(file: string | null): Variables {
  return file === null ? {} : Object.fromEntries(CERTIFICATE_VARIABLES.map((name) => [name, file]))
}

/** `inherited` is the runner's own environment; what the environment of the session sets wins over it. */
export function buildVariables(
  setup: Pick<RunnerSetup, 'sessionId' | 'variables'>,
  inherited: Variables,
  transport: Variables,
): Variables {
  const path = setup.variables.PATH ?? inherited.PATH ?? DEFAULT_PATH
  return {
    HOME: '/root',
    LANG: 'C.UTF-8',
    ...inherited,
    GIT_EDITOR: 'true',
    GIT_TERMINAL_PROMPT: '0',
    DEBIAN_FRONTEND: 'noninteractive',
    PYTHONUNBUFFERED: '1',
    ...setup.variables,
    CLAUDE_CODE_REMOTE: 'true',
    // CLAUDE.md and rules of additional repositories are read like those of the main one.
    CLAUDE_CODE_ADDITIONAL_DIRECTORIES_CLAUDE_MD: '1',
    CLAUDE_CODE_REMOTE_SESSION_ID: setup.sessionId,
    ...transport,
    PATH: path.split(':').includes(TOOLS_FOLDER) ? path : `${path}:${TOOLS_FOLDER}`,
  }
}

/** Said to the agent at the end of Claude Code's own system prompt. */
export function describeSandbox(
  setup: RunnerSetup,
  additional: readonly { folder: string; repository: AssignedAdditional }[] = [],
): string {
  const { branch, baseBranch } = setup.repository
  const link = setup.sessionUrl
    ? `- The page of this session is ${setup.sessionUrl}: name it where a link to this work is useful.`
    : undefined
  return [
    '# Where you are working',
    '',
    'You work in a sandbox of its own on a server, not on the machine of the user. Nobody may be watching at the moment; the user',
    'reads the transcript later and sees files only through commits.',
    '',
    `- Develop on the branch \`${branch}\`${baseBranch ? ` (it started from \`${baseBranch}\`)` : ''}; it is checked out.`,
    `- Commit there with clear messages and push with \`git push\`. Pushes to any other branch or tag are refused. What is left`,
    '  uncommitted or unpushed when you finish is committed and pushed for you.',
    ...additional.map(describeAdditional),
    '- Do not open a pull request: the user does that from the branch.',
    '- The network is limited by a policy. A denied host answers with status 403 and the header `x-deny-reason`, or the connection',
    '  is closed; trying again does not help. Say what was denied instead of working around it.',
    '- `check-tools` lists the tools that are here, and which package registries the policy allows.',
    '- You are root; packages that you install and files that you write stay for the rest of this session.',
    ...(link ? [link] : []),
  ].join('\n')
}

function describeAdditional({
  folder,
  repository,
}: {
  folder: string
  repository: AssignedAdditional
}): string {
  const { access, branch } = repository
  return access === 'write'
    ? `- The repository in \`${folder}\` is part of this work: what you change there goes to a branch \`${branch}\` of its own in the same way.`
    : `- The repository in \`${folder}\` is there to be read. Pushes to it are refused, and changes there are not kept.`
}
