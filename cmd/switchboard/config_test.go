package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"switchboard/slacksim"
	"switchboard/storage"
	"switchboard/storage/storagetest"
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
	if _, errs, code := w.command("serve"); code != 2 || !slices.Equal(problems(t, errs), []string{"ENCRYPTION_KEYS"}) || !strings.Contains(errs, file+".key is gone") {
		t.Errorf("serve without its key file: exit %d: %s", code, errs)
	}
	if _, err := os.Stat(file + ".key"); !errors.Is(err, os.ErrNotExist) {
		t.Error("there is another key file where the lost one belongs")
	}
	write(t, file+".key", string(key))
	w.start(1, nil)
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
	for _, args := range [][]string{{"connections", "list"}, {"inbox", "list"}, {"keys", "check"}, {"migrate", "status"}, {"migrate", "up"}} {
		if _, errs, code := w.command(args...); code != 0 {
			t.Errorf("%v beside serve: exit %d: %s", args, code, errs)
		}
	}
}
