package cli

// .env, as init writes it: in the form that our own reader, docker run --env-file and systemd all take.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/joho/godotenv"
)

// envLine is a setting in .env.
type envLine struct{ name, value string }

// unquoted are values that every reader takes as they are.
var unquoted = regexp.MustCompile(`^[A-Za-z0-9_.:/,@%+=?&~-]+( [A-Za-z0-9_.:/,@%+=?&~-]+)*$`)

// envText is lines as .env has them. A value that would come back as another is refused.
func envText(lines []envLine) ([]byte, error) {
	var text strings.Builder
	for _, l := range lines {
		written := l.value
		switch {
		case unquoted.MatchString(l.value):
		case strings.Contains(l.value, "'"):
			written = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "\n", `\n`).Replace(l.value) + `"`
		default:
			written = "'" + l.value + "'"
		}

		line := l.name + "=" + written + "\n"
		if back, err := godotenv.Unmarshal(line); err != nil || len(back) != 1 || back[l.name] != l.value {
			return nil, fmt.Errorf("the value of %s can't be written into .env. Put it into the environment of serve instead",
				l.name)
		}
		text.WriteString(line)
	}
	return []byte(text.String()), nil
}

// newEnvFile writes the file, for its owner alone, unless there is one.
func newEnvFile(path string, lines []envLine) (err error) {
	text, err := envText(lines)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s was made by somebody else a moment ago, and was not changed", path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}

	if err := errors.Join(f.Chmod(0o600), writeAndSync(f, text), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(path))
	}
	return syncFolder(path)
}

// appendToEnvFile adds lines to the file, all or none.
func appendToEnvFile(path string, lines []envLine) (err error) {
	text, err := envText(lines)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("add to %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()

	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("add to %s: %w", path, err)
	}
	last := []byte("\n")
	if size := info.Size(); size > 0 {
		if _, err := f.ReadAt(last, size-1); err != nil {
			return fmt.Errorf("add to %s: %w", path, err)
		}
	}
	if last[0] != '\n' {
		text = append([]byte("\n"), text...)
	}

	if err := writeAndSync(f, text); err != nil {
		return errors.Join(fmt.Errorf("add to %s: %w", path, err), f.Truncate(info.Size()))
	}
	return nil
}

func writeAndSync(f *os.File, text []byte) error {
	if _, err := f.Write(text); err != nil {
		return err
	}
	return f.Sync()
}

// syncFolder makes a new file's name outlive a loss of power.
func syncFolder(path string) error {
	folder, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil // it can be used and not read
	}
	defer func() { _ = folder.Close() }()
	_ = folder.Sync() // not every system can
	return nil
}
