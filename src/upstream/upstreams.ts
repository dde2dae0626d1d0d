/** The services behind the gateway, all of them. */
import type { UpstreamConfig } from '../config/gateway-file.js'
import type { UpstreamEvents } from './upstream-events.js'
import { Upstream } from './upstream-pool.js'

export class Upstreams {
  #configs = new Map<string, string>()
  #upstreams = new Map<string, Upstream>()
  readonly #events: UpstreamEvents

  constructor(configs: readonly UpstreamConfig[], events: UpstreamEvents) {
    this.#events = events
    this.replace(configs)
  }

  get all(): readonly Upstream[] {
    return [...this.#upstreams.values()]
  }

  /** Looked up once when the routes are compiled. Throws for a name the configuration check let through. */
  get(name: string): Upstream {
    const upstream = this.#upstreams.get(name)
    if (upstream === undefined) throw new Error(`no upstream is called ${name}`)
    return upstream
  }

  /** Another set of upstreams in force from now on. An unchanged one keeps its connections; running calls go on. */
  replace(configs: readonly UpstreamConfig[]): void {
    const before = { configs: this.#configs, upstreams: this.#upstreams }
    this.#configs = new Map(configs.map(config => [config.name, JSON.stringify(config)]))
    this.#upstreams = new Map(
      configs.map(config => {
        const same = before.configs.get(config.name) === this.#configs.get(config.name)
        return [config.name, (same && before.upstreams.get(config.name)) || new Upstream(config, this.#events)]
      })
    )
    for (const [name, upstream] of before.upstreams) {
      if (this.#upstreams.get(name) !== upstream) upstream.close()
    }
  }

  /** Ends what is idle; running calls go on. */
  close(): void {
    for (const upstream of this.#upstreams.values()) upstream.close()
  }
}
