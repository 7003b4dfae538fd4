# Adds programs that a service calls and its image lacks: `graasp-local images complete`, and `build`.
ARG IMAGE
FROM ${IMAGE}
USER root
ARG PACKAGES
RUN apt-get update && apt-get install -y --no-install-recommends ${PACKAGES} && rm -rf /var/lib/apt/lists/*
ARG RUN_AS
USER ${RUN_AS}
