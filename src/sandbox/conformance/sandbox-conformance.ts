// What every kind of sandbox has to hold, run for real: one suite that each driver's *.conformance.ts calls.
import { afterAll, beforeAll, describe, onTestFinished } from 'vitest'
import {
  type Cases,
  type ConformanceHarness,
  endSandbox,
  newSpec,
  type Sandbox,
  startSandbox,
} from './conformance-cases.ts'
import { insideCases, rightsCases } from './conformance-inside.ts'
import { layerCases } from './conformance-layers.ts'
import { halfWayCases, lifeCases, refusalCases, survivalCases } from './conformance-life.ts'
import { limitCases } from './conformance-limits.ts'
import { networkCases } from './conformance-network.ts'

export function runSandboxConformance(
  name: string,
  open: () => Promise<ConformanceHarness>,
  without: Cases['without'] = {},
): void {
  describe(`sandbox ${name}`, () => {
    let harness: ConformanceHarness
    let shared: Sandbox
    beforeAll(async () => {
      harness = await open()
      shared = await startSandbox(harness, newSpec())
    })
    afterAll(async () => {
      await endSandbox(harness, shared)
      await harness.close()
    })
    const cases: Cases = {
      without,
      harness: () => harness,
      shared: () => shared,
      start: async (change) => {
        const sandbox = await startSandbox(harness, newSpec(change))
        onTestFinished(() => endSandbox(harness, sandbox))
        return sandbox
      },
    }
    describe('inside', () => insideCases(cases))
    describe('rights', () => rightsCases(cases))
    describe('network', () => networkCases(cases))
    describe('limits', () => limitCases(cases))
    describe('life', () => lifeCases(cases))
    describe('layers', () => layerCases(cases))
    describe('survival', () => survivalCases(cases))
    describe('half-way', () => halfWayCases(cases))
    describe('refusals', () => refusalCases(cases))
  })
}
