# The web front end. It has no published image, because the site's address is built into it. `graasp-local build` uses
# this file if the sources have no Dockerfile of their own. The sources are the build's context.
ARG NODE_IMAGE=node:24-bookworm-slim
ARG SERVER_IMAGE=joseluisq/static-web-server:2.38

FROM ${NODE_IMAGE} AS build
WORKDIR /client
COPY . .
# The exact pnpm that the sources name, without the checksum that may follow it.
RUN npm install --global "$(node -p "(require('./package.json').packageManager || 'pnpm@10').split('+')[0]")"
# Nothing is tested here, so the test runners do not download browsers.
RUN CYPRESS_INSTALL_BINARY=0 PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 pnpm install --frozen-lockfile
ARG VITE_VERSION
ARG VITE_GRAASP_API_HOST
ARG VITE_GRAASP_WS_HOST
ARG VITE_GRAASP_LIBRARY_HOST
ARG VITE_GRAASP_REDIRECTION_HOST
ARG VITE_GRAASP_H5P_INTEGRATION_URL
ARG VITE_BUILD_TIMESTAMP
ARG VITE_UMAMI_HOST
ARG VITE_UMAMI_WEBSITE_ID
ARG VITE_RECAPTCHA
# Without the type check at the beginning of `pnpm build`, like the client's own Dockerfile.
# Vite writes to dist unless its configuration names build.
RUN pnpm exec vite build && mv "$(if [ -d build ]; then echo build; else echo dist; fi)" /built

FROM ${SERVER_IMAGE}
COPY --from=build /built /app
