// Where components find the client of the API, and how an error of it is told.
import { createContext, useContext } from 'react'
import type { Client } from '../../../src/client/client.ts'
import { AppError, toAppError } from '../../../src/protocol/errors.ts'

const ApiContext = createContext<Client | null>(null)
export const ApiProvider = ApiContext.Provider

export function useApi(): Client {
  const api = useContext(ApiContext)
  if (!api) throw new AppError('internal', 'no_api', 'The page was put together without its API.')
  return api
}

/** The error of a request as people read it; one that never reached the server says what to do. */
export function describeError(error: unknown): AppError {
  const known = toAppError(error)
  if (known.reason !== 'errand_unreachable') return known
  return new AppError(
    known.code,
    known.reason,
    'Nothing answers at this address. Errand may be stopped (errand up starts it), or the network is down.',
  )
}

/** No refusal has arrived: what was asked may have been done all the same. */
export function isUnanswered(error: unknown): boolean {
  return ['unavailable', 'timeout', 'internal'].includes(describeError(error).code)
}
