# The app in this repository, as a static program on nothing but root certificates. How to run it: docs/deploying.md.
# For a bot of your own, `switchboard new` writes a Dockerfile like this one.

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /switchboard ./cmd/switchboard && mkdir /data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /switchboard /switchboard
# A volume gets the owner of the folder that it takes the place of.
COPY --from=build --chown=nonroot:nonroot /data /data
# ADMIN_ADDR keeps its default, 127.0.0.1:3001: only what runs in the container reaches it, until you say otherwise.
ENV LISTEN_ADDR=:3000 DATA_DIR=/data
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/switchboard", "healthcheck", "--exclude", "database"]
ENTRYPOINT ["/switchboard"]
CMD ["serve"]
