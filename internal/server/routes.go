package server

// What an app brings beside its handlers: pages of its own, and work that goes on while it serves.

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
)

// checkRoutes finds what would take a page of ours away, and what can't be a route.
func checkRoutes(routes map[string]http.Handler) error {
	var problems []error
	mux := http.NewServeMux()
	for _, pattern := range slices.Sorted(maps.Keys(routes)) {
		if err := checkRoute(mux, pattern, routes[pattern]); err != nil {
			problems = append(problems, fmt.Errorf("route %q: %w", pattern, err))
		}
	}
	return errors.Join(problems...)
}

func checkRoute(mux *http.ServeMux, pattern string, h http.Handler) (err error) {
	path := pattern[strings.LastIndexAny(pattern, " \t")+1:]
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch {
	case h == nil:
		return errors.New("has no handler")
	case !strings.HasPrefix(path, "/"):
		return errors.New("write a path that begins with /, and no host")
	case first == "" || first == "slack" || strings.HasPrefix(first, "{"):
		return errors.New("/ and everything under /slack/ are taken, for installing and for what Slack sends. " +
			"Choose another path")
	}

	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v", v)
		}
	}()
	mux.Handle(pattern, h)
	return nil
}

// background is the app's own work. A panic in it stops the server, as an error does: the order of a stop is kept.
func (s *Server) background() []func(context.Context) error {
	all := make([]func(context.Context) error, len(s.cfg.Background))
	for i, run := range s.cfg.Background {
		all[i] = func(ctx context.Context) (err error) {
			defer func() {
				if v := recover(); v != nil {
					s.log.Error("panic in background work", "panic", v, "stack", string(debug.Stack()))
					err = fmt.Errorf("background work: panic: %v", v)
				}
			}()
			if err := run(ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("background work: %w", err)
			}
			return nil
		}
	}
	return all
}
