/** A client with a cookie jar that sends an Origin with everything it posts, as browsers do. */

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** Null when the body is no JSON. */
  readonly json: unknown
  /** A text deep in the JSON, `user.id`; empty where it is missing. */
  readonly at: (path: string) => string
}

export class Browser {
  readonly cookies = new Map<string, string>()
  readonly #url: string
  readonly #origin: string

  constructor(url: string, origin: string) {
    this.#url = url
    this.#origin = origin
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.#send('GET', path, headers)
  }

  post(path: string, body: unknown = {}, headers: Record<string, string> = {}): Promise<Answer> {
    const json = { 'content-type': 'application/json', origin: this.#origin, ...headers }
    return this.#send('POST', path, json, typeof body === 'string' ? body : JSON.stringify(body))
  }

  cookieHeader(): string {
    return [...this.cookies].map(pair => pair.join('=')).join('; ')
  }

  async #send(method: string, path: string, headers: Record<string, string>, body?: string): Promise<Answer> {
    const cookie = this.cookieHeader()
    const response = await fetch(this.#url + path, {
      method,
      redirect: 'manual',
      headers: { ...(cookie !== '' && { cookie }), ...headers },
      ...(body !== undefined && { body })
    })
    for (const line of response.headers.getSetCookie()) this.#keep(line)
    const text = await response.text()
    const json = parsed(text)
    return { status: response.status, headers: response.headers, text, json, at: path => textAt(json, path) }
  }

  #keep(line: string): void {
    const [pair = '', ...attributes] = line.split(';')
    const equals = pair.indexOf('=')
    const name = pair.slice(0, equals)
    if (attributes.some(each => each.trim().toLowerCase() === 'max-age=0')) this.cookies.delete(name)
    else this.cookies.set(name, pair.slice(equals + 1))
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

function textAt(json: unknown, path: string): string {
  let value = json
  for (const key of path.split('.')) value = (value as Record<string, unknown> | null | undefined)?.[key]
  return typeof value === 'string' ? value : ''
}
