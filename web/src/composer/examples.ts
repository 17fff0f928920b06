// Three tasks to begin with on the first visit; they fit the sample repository and most others.

export const EXAMPLES = [
  {
    title: 'Make the failing test pass',
    prompt:
      'Run the tests, find out why one fails, fix the cause and not the test, and run them again.',
  },
  {
    title: 'Explain this repository',
    prompt:
      'Explain what this repository does and how it is put together, in at most ten sentences. Change nothing.',
  },
  {
    title: 'Cover an edge case',
    prompt:
      'Find an edge case in the main code that no test covers. Write the test first, and fix the code if it fails.',
  },
] as const
