/** This repository. Tests are run from there, as they stand or built: by their own place they would find other folders. */
export const ROOT = process.cwd()
