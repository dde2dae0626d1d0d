/**
 * How many inputs a property is tried on; PROPERTY_RUNS for a longer night. fast-check prints the seed of a failure.
 */
export const RUNS = Number(process.env['PROPERTY_RUNS'] ?? 100_000)
