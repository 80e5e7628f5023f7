package main

// bare: the least that an endpoint for Slack can do, as the measure for what the rest costs. It reads the body and
// checks the signature with slack-go's verifier, on a server with Switchboard's settings, and keeps nothing.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/slack-go/slack"
	"golang.org/x/sync/errgroup"

	"github.com/switchboard-go/switchboard/install/connection"
)

type bareCmd struct {
	Listen string `default:"127.0.0.1:3000" placeholder:"HOST:PORT" help:"Where to listen. Default: ${default}."`
	Admin  string `default:"127.0.0.1:3001" placeholder:"HOST:PORT" help:"Where /metrics is. Default: ${default}."`
}

// Run serves until the context ends.
func (c *bareCmd) Run(env *environment) error {
	secret, err := env.signingSecret()
	if err != nil {
		return err
	}
	for flag, address := range map[string]string{"--listen": c.Listen, "--admin": c.Admin} {
		if !onThisMachine(address) {
			return usage("%s: %q is not an address of this machine, such as 127.0.0.1:3000", flag, address)
		}
	}

	listen, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	admin, err := net.Listen("tcp", c.Admin)
	if err != nil {
		return errors.Join(err, listen.Close())
	}
	// The line that serve writes, by which compare finds both.
	slog.New(slog.NewJSONHandler(env.stderr, nil)).Info("serving",
		"listen", listen.Addr().String(), "admin", admin.Addr().String())

	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))

	group, serving := errgroup.WithContext(env.ctx)
	for l, h := range map[net.Listener]http.Handler{listen: bareHandler(secret), admin: mux} {
		server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second,
			WriteTimeout: 40 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
		group.Go(func() error {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve %s: %w", l.Addr(), err)
			}
			return nil
		})
		group.Go(func() error {
			<-serving.Done()
			drain, cancel := context.WithTimeout(context.WithoutCancel(env.ctx), 5*time.Second)
			defer cancel()
			return server.Shutdown(drain)
		})
	}
	return group.Wait()
}

// bareHandler answers 200 to what Slack signed and 401 to everything else.
func bareHandler(secret connection.Secret) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 2<<20))
		if err != nil {
			http.Error(w, "The request could not be read.", http.StatusBadRequest)
			return
		}

		verifier, err := slack.NewSecretsVerifier(r.Header, secret.Reveal())
		if err == nil {
			_, _ = verifier.Write(body) // a hash takes everything
			err = verifier.Ensure()
		}
		if err != nil {
			http.Error(w, "The signature does not match.", http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusOK)
	})
}
