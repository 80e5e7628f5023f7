package bot

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/switchboard-go/switchboard/bot/internal/transport"
	"github.com/switchboard-go/switchboard/install"
	"github.com/switchboard-go/switchboard/install/connection"
)

// lateBot is a Bot without handlers.
func lateBot(t *testing.T) *Bot {
	t.Helper()
	in, err := install.New(install.Config{App: install.App{Name: "Parrot"}, PublicURL: "http://127.0.0.1",
		Store: noStore{}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(Config{Install: in, SigningSecrets: []connection.Secret{"s"}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A handler's context outlives the acknowledgement by as long as Slack takes its answer, and a stop by ten seconds.
func TestLifetimeOfAHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := lateBot(t)
		acking, cancel := context.WithTimeout(context.Background(), transport.AckBudget)
		run, end := b.answers.lifetime(acking)
		cancel() // the acknowledgement is out
		began := time.Now()
		<-run.Done()
		if life := time.Since(began); life != responseLife-30*time.Second || !errors.Is(context.Cause(run), errTooLong) {
			t.Errorf("it lived %v: %v", life, context.Cause(run))
		}
		end()

		running, stop := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- b.Run(running) }()
		synctest.Wait()
		acking, cancel = context.WithTimeout(context.Background(), transport.AckBudget)
		run, end = b.answers.lifetime(acking)
		cancel()
		defer end()
		began = time.Now()
		stop()
		<-run.Done()
		if life := time.Since(began); life != lateStop || !errors.Is(context.Cause(run), errStopping) {
			t.Errorf("it lived %v after the stop: %v", life, context.Cause(run))
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}

		// What comes during the stop has until its acknowledgement.
		acking, cancel = context.WithTimeout(context.Background(), transport.AckBudget)
		defer cancel()
		run, endLast := b.answers.lifetime(acking)
		defer endLast()
		began = time.Now()
		<-run.Done()
		if life := time.Since(began); life != transport.AckBudget {
			t.Errorf("it lived %v, and its acknowledgement waits for %v", life, transport.AckBudget)
		}
	})
}

// Who waits for a handler that does not keep to its context is told all the same.
func TestHandlerThatIgnoresItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := lateBot(t)
		for cause, want := range map[error]string{errStopping: "Parrot is restarting, and this was interrupted",
			errTooLong: "it was ended"} {
			run, end := context.WithCancelCause(context.Background())
			end(cause)
			began := time.Now()
			r := b.answers.await(&result{ref: "R1", late: make(chan *result), run: run})
			if !strings.Contains(r.reply.Text, want) || !strings.Contains(r.reply.Text, "R1") || time.Since(began) != lateGrace {
				t.Errorf("%v: after %v: %q", cause, time.Since(began), r.reply.Text)
			}
		}
	})
}
