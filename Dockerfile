# One base for all stages, so that what is built runs on what it was built for.
FROM node:22-slim AS base
WORKDIR /app
COPY package.json package-lock.json ./

# esbuild comes as an optional package of its own per platform, so the build needs those.
FROM base AS build
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY src ./src
COPY schema ./schema
RUN npm run build

# What runs in production: no compiler, and no embedded PostgreSQL (an optional package, 60 MB), as production
# refuses to start without a database of its own. "peer" leaves out what Better Auth could use but we do not.
FROM base AS packages
RUN npm ci --omit=dev --omit=optional --omit=peer --ignore-scripts --no-audit --no-fund

FROM node:22-slim
WORKDIR /app
# In a container only its own network reaches it, so it listens on all addresses; the private listener does not.
# Password hashes and DNS look-ups share libuv's threads: with Node's 4, four logins at once stall every new connection.
ENV NODE_ENV=production \
    HOST=0.0.0.0 \
    UV_THREADPOOL_SIZE=12
COPY --from=packages /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json ./
USER node
EXPOSE 8080
# Liveness only: a database that is away must not get the gateway restarted. /readyz is for load balancers.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.PORT || 8080) + '/livez').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "dist/src/cli/main.js"]
CMD ["start"]
