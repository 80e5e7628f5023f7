package storage

import (
	"testing"
)

// Outside of this machine a connection without TLS is not made, unless the address asks for it.
func TestPostgresElsewhereHasTLS(t *testing.T) {
	t.Parallel()
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
