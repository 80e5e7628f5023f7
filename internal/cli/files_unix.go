//go:build unix

package cli

import (
	"io/fs"
	"os"
	"syscall"
)

// openFiles is how many files this process may have open. Go has raised it as far as the system lets it.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return usualConns
	}
	return uint64(limit.Cur)
}

// trusted reports whether a file belongs to us, or to root who can do everything anyway.
func trusted(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (stat.Uid == 0 || int(stat.Uid) == os.Geteuid())
}
