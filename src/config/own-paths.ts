/** Where the gateway itself answers, with everything below. */

/** In hosted mode; in attached mode a path like any other. */
export const AUTH_MOUNT = '/api/auth'

export const OWN_PATHS = ['/.gateway', '/livez', '/readyz', '/.well-known/jwks.json']
