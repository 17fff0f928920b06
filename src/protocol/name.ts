// A name that somebody gives to something: one line of at most so many characters, shown in lists and tables.
import { z } from 'zod'

/** For what comes in. What is stored is read as it is: it may be of a version that took more. */
export function nameSchema(mostChars: number) {
  return z
    .string()
    .trim()
    .min(1)
    .max(mostChars)
    .regex(NO_CONTROL, 'no line breaks and no other control characters')
}

export const NO_CONTROL = /^\P{Cc}*$/u
