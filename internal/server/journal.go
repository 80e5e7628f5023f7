package server

// Whether DATA_DIR is this process's own.

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/switchboard-go/switchboard/storage/journal"
)

// askShared is how often it is looked whether the other process has ended.
const askShared = 10 * time.Second

// claimJournal finds out whether another process serves from the same DATA_DIR, and says so once: of a restart, in
// which two overlap, as of a mistake.
func (s *Server) claimJournal() {
	err := s.db.ClaimJournal()
	shared := errors.Is(err, journal.ErrShared)
	switch before := s.shared.Swap(shared); {
	case shared && !before:
		s.log.Warn("another process serves from the same DATA_DIR, so new tokens have one copy instead of two: "+
			"during a restart this passes; otherwise give each process a DATA_DIR of its own", "cause", err)
	case before && !shared:
		s.log.Info("DATA_DIR is this process's own now")
	case err != nil && !shared && !errors.Is(err, journal.ErrNone):
		s.log.Warn("find out whether another process serves from the same DATA_DIR", "cause", err)
	}
}

// watchJournal looks again while it is shared, until ctx ends.
func (s *Server) watchJournal(ctx context.Context) error {
	tick := time.NewTicker(askShared)
	defer tick.Stop()
	for s.shared.Load() {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			s.claimJournal()
		}
	}
	return nil
}

// sharedGauge is a number of the same.
func (s *Server) sharedGauge() prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "switchboard_journal_shared",
		Help: "1 while another process serves from the same DATA_DIR."}, func() float64 {
		if s.shared.Load() {
			return 1
		}
		return 0
	})
}
