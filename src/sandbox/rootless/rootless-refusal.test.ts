import { describe, expect, it } from 'vitest'
import { type RootlessFacts, rootlessRefusal } from './rootless-refusal.ts'

const fine: RootlessFacts = {
  user: 'ann',
  maxUserNamespaces: 96_365,
  usernsClone: undefined,
  apparmorRestrict: undefined,
  slices: 1,
  firstFreeId: 165_536,
  mappers: [
    { name: 'newuidmap', state: 'ok' },
    { name: 'newgidmap', state: 'ok' },
  ],
  failure: 'failed unshare: No space left on device',
}
const mappers = (state: 'missing' | 'not setuid'): RootlessFacts['mappers'] => [
  { name: 'newuidmap', state: 'ok' },
  { name: 'newgidmap', state },
]

describe('rootlessRefusal', () => {
  it.each<[string, Partial<RootlessFacts>, string]>([
    ['rootless_userns_off', { maxUserNamespaces: 0 }, 'user.max_user_namespaces=15000'],
    ['rootless_userns_restricted', { usernsClone: 0 }, 'kernel.unprivileged_userns_clone=1'],
    ['rootless_apparmor', { apparmorRestrict: 1 }, 'apparmor_restrict_unprivileged_userns=0'],
    ['rootless_newuidmap_missing', { mappers: mappers('missing') }, 'apt-get install uidmap'],
    ['rootless_newuidmap_not_setuid', { mappers: mappers('not setuid') }, 'sudo chmod u+s'],
    [
      'rootless_no_subordinate_ids',
      { slices: 0 },
      'usermod --add-subuids 165536-231071 --add-subgids 165536-231071 ann',
    ],
    ['rootless_overlay_unavailable', { failure: 'overlay: Invalid argument' }, 'Linux 5.11'],
    ['rootless_failed', {}, 'No space left on device'],
  ])('%s, with what mends it', (reason, change, mend) => {
    const refusal = rootlessRefusal({ ...fine, ...change })
    expect(refusal).toMatchObject({ code: 'unsupported', reason })
    expect(refusal.message).toContain(mend)
    expect(refusal.message).toContain('sudo ./errand up')
  })

  it('names first what stands in the way first', () => {
    const facts = { ...fine, maxUserNamespaces: 0, slices: 0, apparmorRestrict: 1 }
    expect(rootlessRefusal(facts).reason).toBe('rootless_userns_off')
  })
})
