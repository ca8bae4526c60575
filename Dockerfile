# redinit beside an engine: `docker build .`, with nothing but Docker. How it is used: docs/docker.md
# Plain syntax only, for builders that are not BuildKit.

# Builds the binary. Its libc must not be newer than the engine image's: this one has glibc 2.36.
ARG BUILDER_IMAGE=rust:1-slim-bookworm
# The engine: Valkey's official image, or Redis's, for example redis:8.
ARG RUNTIME_IMAGE=valkey/valkey:8

FROM ${BUILDER_IMAGE} AS build
WORKDIR /build
# Dependencies in a layer of their own, behind an empty program: they are built anew only when they change.
COPY Cargo.toml Cargo.lock ./
RUN mkdir -p src benches/figures \
 && touch src/lib.rs \
 && echo 'fn main() {}' > src/main.rs \
 && cp src/main.rs benches/figures/main.rs \
 && cargo build --release --locked
COPY conf conf
COPY src src
# Cargo goes by dates, and those of a checkout may be older than the empty program.
RUN touch src/lib.rs src/main.rs && cargo build --release --locked
# The names that manifests know, and the only two places that are written to: for user 999, and for any user in group 0
# (OpenShift). The socket's directory holds no data, so every user may have it.
COPY LICENSE /image/bin/usr/local/share/doc/redinit/LICENSE
RUN install -D -m 0755 target/release/redinit /image/bin/usr/local/bin/redinit \
 && for name in live_check.sh ready_check.sh sentinel_check.sh server; do ln -s /usr/local/bin/redinit "/image/bin/$name"; done \
 && mkdir -p /image/data/data /image/run/redinit \
 && chmod 0775 /image/data/data \
 && chmod 0777 /image/run/redinit

FROM ${RUNTIME_IMAGE}
COPY --from=build /image/bin/ /
COPY --from=build --chown=999:0 /image/data/ /
COPY --from=build --chown=999:0 /image/run/ /run/
# Fails where the builder's libc is newer than this image's.
RUN ["redinit", "--version"]
VOLUME ["/data", "/run/redinit"]
WORKDIR /data
USER 999
EXPOSE 6379 26379 8379
# Alive, not ready: who restarts an unhealthy container would end replicas that wait for their master.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["redinit", "probe", "live", "--docker"]
ENTRYPOINT ["redinit"]
CMD []
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="redinit" \
      org.opencontainers.image.description="PID 1 for highly available Redis and Valkey containers" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
