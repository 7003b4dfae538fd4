# An image with the programs that its service calls and it lacks: `graasp-local images complete`, and `build`.
ARG IMAGE
FROM ${IMAGE}
USER root
ARG PACKAGES
RUN apt-get update && apt-get install -y --no-install-recommends ${PACKAGES} && rm -rf /var/lib/apt/lists/*
ARG RUN_AS
USER ${RUN_AS}
