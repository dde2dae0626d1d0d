/**
 * What each test file is started with, before anything else. tap would have a second thread look at every module that
 * is loaded, for a coverage that nobody collects: a second of processor time a file (2026-11-22). It is left out.
 * `npm test` runs the files built; for one that is run as it stands, `tap run test/x.test.ts`, there is tsx.
 */
const nodeModule = require('node:module')

const { register } = nodeModule
nodeModule.register = (loader, ...rest) => {
  if (!String(loader).includes('/@tapjs/processinfo/')) register(loader, ...rest)
}

exports.tsx = process.argv[1]?.endsWith('.ts') ? require('tsx') : null
