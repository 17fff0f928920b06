// Changing one item of a list that is never changed in place. Pure.

/** Replaces the last item for which `change` gives another one; the same array when there is none. */
export function update<T>(items: readonly T[], change: (item: T) => T | undefined): readonly T[] {
  for (let index = items.length - 1; index >= 0; index--) {
    const item = items[index]
    const changed = item && change(item)
    if (changed) return items.with(index, changed)
  }
  return items
}
