package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/switchboard-go/switchboard/slacksim"
	"github.com/switchboard-go/switchboard/storage"
	"github.com/switchboard-go/switchboard/storage/seal"
	"github.com/switchboard-go/switchboard/storage/storagetest"
)

// A key file that is lost is not replaced where something was sealed with it: the right one has to go back there.
func TestLostKeyFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "switchboard.db")
	w := newWorld(t, "sqlite:"+file)
	w.keys = "" // so that there is a key file
	w.start(1, nil)
	w.browser().install(slacksim.AcmeAdmin)
	w.settle()
	w.stop()
	key, err := os.ReadFile(file + ".key")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file + ".key"); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := w.command("serve"); code != 2 || !slices.Equal(problems(t, errs), []string{"ENCRYPTION_KEYS"}) ||
		!strings.Contains(errs, "there is no key file "+file+".key.") {
		t.Errorf("serve without its key file: exit %d: %s", code, errs)
	}
	if _, err := os.Stat(file + ".key"); !errors.Is(err, os.ErrNotExist) {
		t.Error("there is another key file where the lost one belongs")
	}
	write(t, file+".key", string(key))
	w.start(1, nil)
}

// However the key, or the database with it, is missing: nothing is put where the right one has to go back.
func TestNothingInThePlaceOfWhatIsLost(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	data := filepath.Join(folder, "data")
	file := filepath.Join(data, "switchboard.db")
	w := newWorld(t, "sqlite:"+file)
	w.keys, w.dataDir = "", data // so that there is a key file
	w.start(1, nil)
	w.browser().install(slacksim.AcmeAdmin)
	w.settle()
	w.stop()
	key, err := os.ReadFile(file + ".key")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	remove := func(paths ...string) func() error {
		return func() (err error) {
			for _, path := range paths {
				err = errors.Join(err, os.Remove(path))
			}
			return err
		}
	}
	elsewhere := filepath.Join(folder, "elsewhere", "other.db")
	for name, test := range map[string]struct {
		lose   func() error
		set    map[string]string
		code   int
		says   string
		absent []string
	}{
		"an empty key file": {func() error { return os.WriteFile(file+".key", nil, 0o600) }, nil, 1, "is empty", nil},
		"a link to nothing": {func() error {
			return errors.Join(os.Remove(file+".key"), os.Symlink("nowhere", file+".key"))
		}, nil, 2, "no key file", []string{filepath.Join(data, "nowhere")}},
		"no key file": {remove(file + ".key"), nil, 2, "no key file", []string{file + ".key"}},
		"no database": {remove(file), nil, 1, "belongs to another database", []string{file}},
		"neither": {remove(file, file+".key"), nil, 1, "belongs to another database",
			[]string{file, file + ".key"}},
		"a database elsewhere": {remove(), map[string]string{"DATABASE_URL": "sqlite:" + elsewhere}, 1,
			"belongs to another database", []string{elsewhere, elsewhere + ".key"}},
	} {
		if err := test.lose(); err != nil {
			t.Fatal(name, err)
		}
		if _, errs, code := w.with(test.set, "serve"); code != test.code || !strings.Contains(errs, test.says) {
			t.Errorf("%s: serve: exit %d %s", name, code, errs)
		}
		for _, args := range [][]string{{"connections", "list"}, {"connections", "exchange", "--all"},
			{"connections", "disconnect", "--yes", slacksim.Acme}, {"inbox", "list"}, {"keys", "check"}, {"keys", "rotate"},
			{"migrate", "status"}} {
			w.with(test.set, args...)
		}
		for _, path := range test.absent {
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: something is at %s now", name, path)
			}
		}
		_ = os.Remove(file + ".key") // it may be a link
		for path, b := range map[string][]byte{file: content, file + ".key": key} {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.start(1, nil)
	w.quick("with all of it back", slacksim.AcmeAdmin, "/connection status", "Working")
}

// One process serves a SQLite file. Commands that look run beside it.
func TestSecondServeOnOneFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, storagetest.SQLite(t)).start(1, nil)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := run(ctx, []string{"serve"}, w.settings(map[string]string{"DATA_DIR": t.TempDir()}), io.Discard, io.Discard)
	if !errors.Is(err, storage.ErrInUse) {
		t.Errorf("a second serve: %v", err)
	}
	for _, args := range [][]string{{"connections", "list"}, {"inbox", "list"}, {"keys", "check"}, {"migrate", "status"},
		{"migrate", "up"}} {
		if _, errs, code := w.command(args...); code != 0 {
			t.Errorf("%v beside serve: exit %d: %s", args, code, errs)
		}
	}
}

// A .env that somebody else can have written says where our secrets go, so it is not read.
func TestDotenvOfOthers(t *testing.T) {
	const text = "SLACK_URL=http://127.0.0.1:9\n"
	for name, test := range map[string]struct {
		prepare func(folder, file string) error
		says    string // "" is believed
	}{
		"ours":                  {func(_, f string) error { return os.Chmod(f, 0o600) }, ""},
		"readable, no secret":   {func(_, f string) error { return os.Chmod(f, 0o644) }, ""},
		"for the group":         {func(_, f string) error { return os.Chmod(f, 0o660) }, "chmod go-w .env"},
		"for everybody":         {func(_, f string) error { return os.Chmod(f, 0o666) }, "mode 0666"},
		"in a shared folder":    {func(d, _ string) error { return os.Chmod(d, 0o777) }, "chmod o-w"},
		"in a folder like /tmp": {func(d, _ string) error { return os.Chmod(d, 0o777|os.ModeSticky) }, ""},
		"by a link into a shared folder": {func(d, f string) error {
			shared := filepath.Join(d, "shared")
			return errors.Join(os.Mkdir(shared, 0o700), os.Chmod(shared, 0o777), os.Rename(f, filepath.Join(shared, "env")),
				os.Symlink(filepath.Join(shared, "env"), f))
		}, "chmod o-w"},
		"a folder": {func(_, f string) error { return errors.Join(os.Remove(f), os.Mkdir(f, 0o700)) }, "is not a file"},
		"of somebody else": {func(_, f string) error {
			if os.Geteuid() != 0 {
				return os.Chmod(f, 0o666) // only root can give files away
			}
			return os.Chown(f, 65534, 65534)
		}, ".env"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			t.Chdir(folder)
			if err := test.prepare(folder, write(t, filepath.Join(folder, ".env"), text)); err != nil {
				t.Fatal(err)
			}
			s := newSource(func(string) string { return "" })
			got, err := s.get("", "SLACK_URL", ""), s.err()
			switch {
			case test.says == "" && (err != nil || got == ""):
				t.Errorf("not believed: %v", err)
			case test.says != "" && (got != "" || err == nil || !strings.Contains(err.Error(), test.says)):
				t.Errorf("%q is believed, or nothing said: %v", got, err)
			}
			if len(s.warnings) != 0 {
				t.Errorf("warned of %v", s.warnings)
			}
		})
	}
}

// Secrets that others can read are worth a warning, which doesn't hold them.
func TestDotenvOthersCanRead(t *testing.T) {
	t.Chdir(t.TempDir())
	secret := good["SLACK_CLIENT_SECRET"]
	if err := os.Chmod(write(t, ".env", "SLACK_CLIENT_SECRET="+secret+"\nENCRYPTION_KEYS="+seal.NewKey()+"\n"),
		0o644); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	settings := over(good, map[string]string{"SLACK_CLIENT_SECRET": ""})
	if _, said, _ := tryUntil(ended, settings, "serve"); !strings.Contains(said, "chmod 600 .env") ||
		!strings.Contains(said, "SLACK_CLIENT_SECRET, ENCRYPTION_KEYS") || strings.Contains(said, secret) {
		t.Errorf("said: %s", said)
	}
}

// ADMIN_HOSTS are names as a Host header has them. What can be none of these is refused by name, all at once.
func TestAdminHosts(t *testing.T) {
	for given, want := range map[string][]string{
		"": nil, " , .": nil, "metrics": {"metrics"}, " Metrics.Internal. ,switchboard": {"metrics.internal", "switchboard"},
	} {
		s := &source{getenv: func(string) string { return given }}
		if got := hosts(s, ""); !slices.Equal(got, want) || s.err() != nil {
			t.Errorf("%q: %q %v, want %q", given, got, s.err(), want)
		}
	}
	for _, bad := range []string{"https://metrics", "metrics:3001", "[::1]", "*.internal", "two names", "metrics/",
		"u@metrics"} {
		s := &source{getenv: func(string) string { return "good," + bad + ",*" }}
		hosts(s, "")
		if err := s.err(); len(s.problems) != 2 || !strings.Contains(err.Error(), `"`+bad+`"`) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// A database elsewhere is spoken to over TLS, unless somebody has said otherwise, who is then warned.
func TestDatabaseInTheClear(t *testing.T) {
	t.Chdir(t.TempDir())
	services := write(t, filepath.Join(t.TempDir(), "services"), "[plain]\nhost=db.example.com\nsslmode=disable\n")
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for name, test := range map[string]struct {
		url, env string
		warned   bool
	}{
		"disable":             {"postgres://u:hush@db.example.com/x?sslmode=disable", "", true},
		"prefer":              {"postgres://u:hush@db.example.com/x?sslmode=prefer", "", true},
		"allow":               {"postgresql://u:hush@192.0.2.1/x?sslmode=allow", "", true},
		"by the environment":  {"postgres://u:hush@db.example.com/x", "disable", true},
		"the address wins":    {"postgres://u:hush@db.example.com/x?sslmode=verify-full", "disable", false},
		"nothing said":        {"postgres://u:hush@db.example.com/x", "", false},
		"require":             {"postgres://u:hush@db.example.com/x?sslmode=require", "", false},
		"this machine":        {"postgres://u:hush@127.0.0.1:1/x?sslmode=disable", "", false},
		"a Unix socket":       {"postgres://u:hush@/x?host=/var/run/none&sslmode=disable", "", false},
		"one of two is there": {"postgres://u:hush@localhost:1,db.example.com:1/x?sslmode=disable", "", true},
		"both are here":       {"postgres://u:hush@localhost:1,127.0.0.1:1/x?sslmode=disable", "", false},
		"by a service file":   {"postgres://u:hush@/x?service=plain&servicefile=" + services, "", true},
	} {
		settings := over(good, map[string]string{"DATABASE_URL": test.url, "PGSSLMODE": test.env,
			"ENCRYPTION_KEYS": seal.NewKey()})
		_, said, _ := tryUntil(ended, settings, "serve")
		if warned := strings.Contains(said, "sslmode=verify-full"); warned != test.warned || strings.Contains(said, "hush@") {
			t.Errorf("%s: %s", name, said)
		}
	}
}
