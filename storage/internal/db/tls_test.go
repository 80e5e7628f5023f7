package db

import (
	"os"
	"path/filepath"
	"testing"
)

// Outside of this machine a connection without TLS is not made, unless the address asks for it.
func TestPostgresElsewhereHasTLS(t *testing.T) {
	t.Parallel()
	services := filepath.Join(t.TempDir(), "services")
	if err := os.WriteFile(services, []byte(
		"[plain]\nhost=db.example.com\nsslmode=disable\n[silent]\nhost=db.example.com\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]bool{
		"postgres://u@db.example.com/x":                               true,
		"postgres://u@192.0.2.1:6432/x?application_name=a":            true,
		"postgres://u@localhost,db.example.com/x":                     true,
		"postgres://u@/x?host=db.example.com":                         true,
		"postgres://u@db.example.com/x?sslmode=disable":               false,
		"postgres://u@db.example.com/x?sslmode=prefer":                false,
		"postgres://u@localhost/x":                                    false,
		"postgres://u@127.0.0.1:5432/x":                               false,
		"postgres://u@[::1]/x":                                        false,
		"postgres://u@/x?host=/var/run/postgresql":                    false,
		"postgres://u@localhost,127.0.0.1/x?target_session_attrs=any": false,
		"postgres://u@/x?host=localhost,db.example.com":               true,
		"postgres://u@localhost:1,db.example.com:2/x":                 true,
		"postgres://u@db.example.com,/var/run/postgresql/x":           false,
		"postgres://u@/x?service=silent&servicefile=" + services:      true,
		"postgres://u@/x?service=plain&servicefile=" + services:       false,
	} {
		config, err := parsePostgres(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		always := config.TLSConfig != nil
		for _, other := range config.Fallbacks {
			always = always && other.TLSConfig != nil
		}
		if always != want {
			t.Errorf("%s: TLS always %t, want %t", url, always, want)
		}
	}
}

// What is chosen outside of the address counts as well, and is not made weaker.
func TestTLSIsChosenOutsideOfTheAddress(t *testing.T) {
	services := filepath.Join(t.TempDir(), "services")
	if err := os.WriteFile(services, []byte("[full]\nhost=db.example.com\nsslmode=verify-full\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	checked := "postgres://u@/x?service=full&servicefile=" + services
	config, err := parsePostgres(checked)
	if err != nil {
		t.Fatal(err)
	}
	if config.TLSConfig == nil || config.TLSConfig.InsecureSkipVerify || len(config.Fallbacks) > 0 || InTheClear(checked) {
		t.Error("verify-full of a service file: anybody's certificate is taken, or none")
	}
	t.Setenv("PGHOST", "db.example.com")
	if InTheClear("postgres://u@/x") {
		t.Error("PGHOST names another machine, and TLS is left to it")
	}
	t.Setenv("PGSSLMODE", "disable")
	if !InTheClear("postgres://u@/x") || InTheClear("postgres://u@/x?host=/var/run/postgresql") ||
		InTheClear("postgres://u@/x?sslmode=require") {
		t.Error("PGSSLMODE=disable is not what counts")
	}
}
