package seal

// Whoever tries an app on one machine should not have to make a key first. This file makes one beside the database,
// once, and is strict about who can read it.

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxKeyFile is far more than any list of keys needs; it keeps a wrong path from being read into memory.
const maxKeyFile = 64 << 10

// KeyFile reads the keys in the file at path, in ParseKeys' form, and makes the file with one new key (mode 0600) when
// there is none. Of any number of processes that start at once all end with the same key. A file that others may read
// is refused. The folder must exist.
func KeyFile(path string) (*Keyring, error) {
	ring, err := readKeyFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeKeyFile(path); err == nil {
			ring, err = readKeyFile(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	return ring, nil
}

func readKeyFile(path string) (*Keyring, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()

	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("other people on this machine may read %s (mode %04o): run chmod 600 %s", path, mode, path)
	}

	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, err
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, fmt.Errorf("%s is empty: put back the one that the database was encrypted with", path)
	}

	ring, err := ParseKeys(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return ring, nil
}

// makeKeyFile writes a key under another name and then links it to path: the name appears together with the whole key,
// also for a process that reads at this moment and after a crash, and a link never replaces a file that is there.
func makeKeyFile(path string) error {
	dir := filepath.Dir(path)
	draft := filepath.Join(dir, "."+filepath.Base(path)+".new_"+strings.ToLower(rand.Text()))
	f, err := os.OpenFile(draft, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(draft)

	_, err = io.WriteString(f, NewKey()+"\n")
	// A key that is lost in a power cut takes every secret with it, so it is on the disk before anybody uses it.
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}

	if err := os.Link(draft, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}

	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
