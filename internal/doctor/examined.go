package doctor

// What is examined: the settings as serve reads them, the database, and the process that serves, if there is one. Checks
// share what is slow to come by.

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/switchboard-go/switchboard/bot"
	"github.com/switchboard-go/switchboard/internal/manifest"
	"github.com/switchboard-go/switchboard/internal/server"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
)

// Examined is one app as it is set up here. Its methods may be called by several checks at once.
type Examined struct {
	Program  string           // what is typed to run it
	Config   server.Config    // as serve would run with it
	Warnings []server.Problem // what the command line said of the settings
	Manifest bot.Manifest     // what the app's code asks of Slack
	Tokens   *manifest.Tokens // SLACK_CONFIG_TOKEN and what belongs to it
	Offline  bool             // nothing leaves the machine, but to the database and the app's own doors

	roots *x509.CertPool // whom PUBLIC_URL's certificate may be by; nil: whom this machine trusts

	// DiskOf looks at the disk under a folder; nil: the system is asked.
	DiskOf func(folder string) (Disk, error)

	looks []*Examined // each with what it found out

	pending sync.WaitGroup // what is seen through, also when its check is over
	seen
}

// seen is what was found out once for all checks.
type seen struct {
	keys     lazy[*seal.Keyring]
	database lazy[*storage.DB]
	process  lazy[*Process]
	noTables error // of the database: why it can't be asked for rows
	journal  error // why it can't be used
}

// look is the same to examine, with nothing found out yet. After a repair all is found out anew, and a check that still
// hangs keeps what it has.
func (e *Examined) look() *Examined {
	l := &Examined{Program: e.Program, Config: e.Config, Warnings: e.Warnings, Manifest: e.Manifest, Tokens: e.Tokens,
		Offline: e.Offline, roots: e.roots, DiskOf: e.DiskOf}
	e.looks = append(e.looks, l)
	return l
}

// Close lets go of what was opened. It blocks for a token that is being renewed.
func (e *Examined) Close() {
	for _, l := range e.looks {
		l.close()
	}
}

// closeBudget is how long the database is waited for. What a check that hangs has of it ends with the program.
const closeBudget = time.Second

func (e *Examined) close() {
	e.pending.Wait()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		if db, err := e.database.get(func() (*storage.DB, error) { return nil, errClosed }); err == nil {
			_ = db.Close()
		}
	}()

	select {
	case <-closed:
	case <-time.After(closeBudget):
	}
}

var errClosed = errors.New("closed")

// lazy is made by whoever needs it first.
type lazy[T any] struct {
	once  sync.Once
	value T
	err   error
}

func (l *lazy[T]) get(make func() (T, error)) (T, error) {
	l.once.Do(func() { l.value, l.err = make() })
	return l.value, l.err
}

// openBudget is how long the database has to answer, and the process: less than a check has, so that each that needs
// them can say what it goes without.
const openBudget = 3 * time.Second

// Keyring is the keys, as they were given or as they lie in the key file; nil where there are none. It makes none.
func (e *Examined) Keyring() (*seal.Keyring, error) {
	return e.keys.get(func() (*seal.Keyring, error) {
		d := e.Config.Database
		if _, err := os.Stat(d.KeyFile()); d.Keys == "" && errors.Is(err, fs.ErrNotExist) {
			return nil, nil // not made yet, or lost
		}
		return d.Keyring()
	})
}

// Database is the app's, open, as long as the checks run. It makes neither a file nor a key. Without the keys it can do
// everything but read secrets.
func (e *Examined) Database() (*storage.DB, error) {
	return e.database.get(func() (*storage.DB, error) {
		ctx, cancel := context.WithTimeout(context.Background(), openBudget)
		defer cancel()
		d := e.Config.Database
		if err := d.MustExist(); err != nil {
			return nil, err
		}
		keys, _ := e.Keyring()
		db, err := d.Open(ctx, keys)
		if err != nil {
			return nil, err
		}
		if e.Config.Clock != nil {
			if err := db.UseClock(ctx, e.Config.Clock); err != nil {
				return nil, errors.Join(err, db.Close())
			}
		}

		e.noTables = db.CheckSchema(ctx)
		if _, err := os.Stat(d.Journal()); !errors.Is(err, fs.ErrNotExist) { // reading makes none
			e.journal = d.UseJournal(db)
		}
		return db, nil
	})
}

// Tables is the database, where its tables are those that this program can read.
func (e *Examined) Tables() (*storage.DB, error) {
	db, err := e.Database()
	if err != nil {
		return nil, err
	}
	return db, e.noTables
}

// NoDatabase is what a check says that needs the database and has none. Why is the check of the database's to say.
func NoDatabase(without string) Finding {
	return Finding{Name: "no_database", Status: Unknown, Text: "Not checked, because the database can't be read: " + without,
		Fix: "fix the database first (see Database), then run this again"}
}

// Process is the app while it serves, as its admin door shows it.
type Process struct {
	URL     string // of the admin door
	Metrics map[string]*dto.MetricFamily
}

// Why there is no process to ask.
var (
	ErrNotServing    = errors.New("nothing answers at ADMIN_ADDR")
	ErrSomethingElse = errors.New("what answers at ADMIN_ADDR isn't this app")
)

// Process asks the process that serves at ADMIN_ADDR.
func (e *Examined) Process() (*Process, error) {
	return e.process.get(func() (*Process, error) {
		ctx, cancel := context.WithTimeout(context.Background(), openBudget)
		defer cancel()
		return ask(ctx, e.Config.AdminAddr)
	})
}

// adminURL is where the door of addr is reached from this machine.
func adminURL(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || port == "0" || port == "" {
		return "", fmt.Errorf("%w, which has no port to ask", ErrNotServing)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}

func ask(ctx context.Context, addr string) (*Process, error) {
	base, err := adminURL(addr)
	if err != nil {
		return nil, err
	}
	p := &Process{URL: base}
	body, err := p.Get(ctx, "/metrics")
	if err != nil {
		return nil, fmt.Errorf("%w (%s): %w", ErrNotServing, addr, err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	if p.Metrics, err = parser.TextToMetricFamilies(strings.NewReader(body)); err != nil ||
		p.Metrics["switchboard_refused_total"] == nil && p.Metrics["switchboard_journal_shared"] == nil {
		return nil, ErrSomethingElse
	}
	return p, nil
}

// Get reads a page of the admin door.
func (p *Process) Get(ctx context.Context, path string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL+path, nil)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // it is near: no proxy leads there
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	if err == nil && resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable {
		err = errors.New("status " + resp.Status)
	}
	return string(body), err
}

// Number is the sum of a metric over all series that have these labels, given as name and value in turn. false: there
// is no such series.
func (p *Process) Number(name string, labels ...string) (sum float64, there bool) {
	for _, m := range p.Metrics[name].GetMetric() {
		if !has(m, labels) {
			continue
		}
		there = true
		sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + m.GetUntyped().GetValue()
	}
	return sum, there
}

func has(m *dto.Metric, labels []string) bool {
	for i := 0; i+1 < len(labels); i += 2 {
		found := false
		for _, l := range m.GetLabel() {
			found = found || l.GetName() == labels[i] && l.GetValue() == labels[i+1]
		}
		if !found {
			return false
		}
	}
	return true
}
