// What an installation says of the branches and commits of sessions whose environment says nothing else. Pure.
import { type Environment, USUAL_BRANCH_TEMPLATE } from '../../protocol/environment.ts'

type GitSettings = Environment['git']

export interface GitDefaults {
  branchTemplate: string | null
  identity: GitSettings['identity']
}

export function withGitDefaults(git: GitSettings, defaults: GitDefaults): GitSettings {
  const isUsual = git.branchTemplate === USUAL_BRANCH_TEMPLATE
  return {
    ...git,
    branchTemplate: (isUsual ? defaults.branchTemplate : null) ?? git.branchTemplate,
    identity: git.identity ?? defaults.identity,
  }
}
