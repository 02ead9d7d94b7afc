# The images of cm-fleet: `agent` (what a plain build makes), `agent-tools` (with Node and coding CLIs) and `fleet`.
#
#   docker build --target agent -t cm-agent .
#   docker build --target agent-tools --build-arg TOOLS="@anthropic-ai/claude-code" -t cm-agent-tools .
#   docker build --target fleet -t cm-fleet .
#
# Needs nothing of BuildKit's. Where no registry can be reached, `cargo xtask image --bases` makes the base images.
# Name the target: the old builder makes every stage above the one that is asked for.

ARG DEBIAN=debian:bookworm-slim
ARG RUST=rust:1-bookworm
ARG NODE=node:22-bookworm-slim

# ── the programs ──
FROM ${RUST} AS manifests
WORKDIR /src
ENV CARGO_TARGET_DIR=/target CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never
COPY Cargo.toml Cargo.lock ./
COPY crates/cm-agent/Cargo.toml crates/cm-agent/
COPY crates/cm-client/Cargo.toml crates/cm-client/
COPY crates/cm-fleet/Cargo.toml crates/cm-fleet/
COPY crates/cm-protocol/Cargo.toml crates/cm-protocol/
COPY crates/cm-ssh/Cargo.toml crates/cm-ssh/
COPY crates/cm-testkit/Cargo.toml crates/cm-testkit/
COPY crates/xtask/Cargo.toml crates/xtask/
COPY deploy/docker/build deploy/docker/build

FROM manifests AS programs
# The dependencies are a layer of their own, made anew only when a manifest changes.
RUN deploy/docker/build dependencies cm-agent
COPY crates crates
COPY deploy deploy
ARG CM_BUILD=unknown
ARG SOURCE_DATE_EPOCH
# Static: the program is copied into the volume, and runs in containers of older and newer images.
RUN deploy/docker/build program cm-agent

# ── the agent ──
FROM ${DEBIAN} AS agent
ARG SOURCE_DATE_EPOCH
RUN export DEBIAN_FRONTEND=noninteractive \
 && apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates git tini tmux \
 && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* /var/lib/dpkg/*-old \
 && useradd --uid 1000 --user-group --no-create-home --home-dir /var/lib/cm-agent/home --shell /bin/bash agent \
 && rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid- \
 && install -d -o agent -g agent -m 0755 /var/lib/cm-agent \
 && install -d -o agent -g agent -m 0700 /var/lib/cm-agent/home \
 # The home is in the volume, so that log-ins of tools and repositories outlive the container, and so that sessions
 # in the keeper's container have the same.
 && ln -s /var/lib/cm-agent/home /home/agent
COPY --from=programs /out/cm-agent /usr/local/bin/cm-agent
ENV LANG=C.UTF-8 \
    CM_AGENT_CONTAINER=1 \
    CM_AGENT_STATE_DIR=/var/lib/cm-agent/state \
    CM_AGENT_RUNTIME_DIR=/var/lib/cm-agent/run \
    # Beside a keeper it is not process 1, and reaps all the same.
    TINI_SUBREAPER=1
VOLUME /var/lib/cm-agent
USER agent
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--", "cm-agent"]
CMD ["serve"]
HEALTHCHECK --interval=5s --timeout=5s --start-period=15s --retries=3 CMD ["cm-agent", "health"]
ARG VERSION=unknown
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL io.cm-fleet.image=agent \
      org.opencontainers.image.title=cm-agent \
      org.opencontainers.image.description="Holds coding agents in tmux sessions, watches them and loses nothing" \
      org.opencontainers.image.version=${VERSION} \
      org.opencontainers.image.revision=${REVISION} \
      org.opencontainers.image.source=${SOURCE} \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"

# ── the agent with coding CLIs ──
FROM ${NODE} AS tools
# Packages of npm's, with versions if they are to stay the same: "@anthropic-ai/claude-code@2.1.330 @openai/codex".
ARG TOOLS=""
RUN mkdir -p /opt/tools \
 && if [ -n "${TOOLS}" ]; then \
      npm install --global --prefix /opt/tools --no-audit --no-fund --no-update-notifier ${TOOLS} \
      && rm -rf /root/.npm; \
    fi

FROM agent AS agent-tools
COPY --from=tools /usr/local/bin/node /usr/local/bin/node
COPY --from=tools /opt/tools /opt/tools
ENV PATH=/opt/tools/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
LABEL io.cm-fleet.image=agent-tools org.opencontainers.image.title=cm-agent-tools

# ── the operator's command ──
FROM manifests AS fleet-programs
RUN deploy/docker/build dependencies cm-fleet
COPY crates crates
COPY deploy deploy
ARG CM_BUILD=unknown
ARG SOURCE_DATE_EPOCH
RUN deploy/docker/build program cm-fleet

FROM ${DEBIAN} AS fleet
ARG SOURCE_DATE_EPOCH
RUN export DEBIAN_FRONTEND=noninteractive \
 && apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates git openssh-client tini tmux \
 && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* /var/lib/dpkg/*-old \
 && useradd --uid 1000 --user-group --create-home --shell /bin/bash fleet \
 && rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow- /etc/subuid- /etc/subgid-
# Beside it is the agent that it brings to hosts.
COPY --from=fleet-programs /out/cm-fleet /usr/local/bin/cm-fleet
COPY --from=programs /out/cm-agent /usr/local/bin/cm-agent
ENV LANG=C.UTF-8
USER fleet
WORKDIR /home/fleet
ENTRYPOINT ["tini", "--", "cm-fleet"]
CMD ["--help"]
ARG VERSION=unknown
ARG REVISION=unknown
ARG SOURCE=unknown
LABEL io.cm-fleet.image=fleet \
      org.opencontainers.image.title=cm-fleet \
      org.opencontainers.image.description="Turns machines you can ssh to into a fleet of coding agents" \
      org.opencontainers.image.version=${VERSION} \
      org.opencontainers.image.revision=${REVISION} \
      org.opencontainers.image.source=${SOURCE} \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"

# What a build without a target makes.
FROM agent
