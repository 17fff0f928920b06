import { describe, expect, it } from 'vitest'
import { limitsRefusal } from './rootless-limits.ts'

const all = ['cpuset', 'cpu', 'io', 'memory', 'pids']

describe('limitsRefusal', () => {
  it('has nothing to say where systemd has delegated what is needed', () => {
    expect(limitsRefusal({ isUnified: true, controllers: all, hasBus: true })).toBeUndefined()
  })

  it('names the limit that is missing, and the command that mends it', () => {
    const refusal = limitsRefusal({
      isUnified: true,
      controllers: ['memory', 'pids'],
      hasBus: true,
    })
    expect(refusal).toMatchObject({ code: 'unsupported', reason: 'limits_unavailable' })
    expect(refusal?.message).toMatch(/^No limit of processor time can be set/)
    expect(refusal?.message).toContain('Delegate=cpu memory pids')
    expect(refusal?.message).toContain('--allow-unlimited')
  })

  it.each([
    [{ isUnified: false, controllers: undefined, hasBus: true }, 'unified_cgroup_hierarchy'],
    [{ isUnified: true, controllers: undefined, hasBus: true }, 'dbus-user-session'],
    [{ isUnified: true, controllers: all, hasBus: false }, 'dbus-user-session'],
  ])('names all of them for %j', (facts, mend) => {
    const { message = '' } = limitsRefusal(facts) ?? {}
    expect(message).toContain('memory, processor time or number of processes')
    expect(message).toContain(mend)
  })
})
