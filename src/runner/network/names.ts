// Which address of the sandbox's local range stands for which name. An address means a name only inside one sandbox.
// Bounded: the name that was not used for the longest time gives way. Never asks anybody.
import { DOOR_ADDRESS, DOOR_HOST } from '../../protocol/network.ts'

const RANGE_START = (198 << 24) | (18 << 16)
const RANGE_SIZE = 1 << 17
/** The first two addresses are the range itself and the door. */
const FIRST_OFFSET = 2

export interface Names {
  /** The address that stands for `name`, a new one if need be. */
  addressOf(name: string): string
  /** The name that `address` stands for; undefined when it stands for none. */
  nameOf(address: string): string | undefined
}

export function createNames(limit = 20_000): Names {
  const byName = new Map<string, number>()
  const byOffset = new Map<number, string>()
  let next = FIRST_OFFSET

  const advance = () => {
    while (byOffset.has(next)) step()
    const offset = next
    step()
    return offset
  }
  const step = () => {
    next = next + 1 >= RANGE_SIZE ? FIRST_OFFSET : next + 1
  }
  const touch = (name: string, offset: number) => {
    byName.delete(name)
    byName.set(name, offset)
  }
  const evict = () => {
    const oldest = byName.entries().next().value
    if (oldest === undefined) return
    byName.delete(oldest[0])
    byOffset.delete(oldest[1])
  }

  return {
    addressOf(name) {
      if (name === DOOR_HOST) return DOOR_ADDRESS
      const known = byName.get(name)
      if (known === undefined && byName.size >= limit) evict()
      const offset = known ?? advance()
      touch(name, offset)
      byOffset.set(offset, name)
      return addressAt(offset)
    },
    nameOf(address) {
      if (address === DOOR_ADDRESS) return DOOR_HOST
      const offset = offsetOf(address)
      const name = offset === undefined ? undefined : byOffset.get(offset)
      if (name !== undefined && offset !== undefined) touch(name, offset)
      return name
    },
  }
}

function addressAt(offset: number): string {
  const value = (RANGE_START >>> 0) + offset
  return [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')
}

function offsetOf(address: string): number | undefined {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(address)?.slice(1).map(Number)
  if (parts === undefined || parts.some((part) => part > 255)) return undefined
  const value = parts.reduce((sum, part) => sum * 256 + part, 0)
  const offset = value - (RANGE_START >>> 0)
  return offset >= 0 && offset < RANGE_SIZE ? offset : undefined
}
