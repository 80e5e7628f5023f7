//go:build unix

package server

import "syscall"

// openFiles is how many files this process may have open. Go has raised it as far as the system lets it.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return usualConns
	}
	return uint64(limit.Cur) //nolint:unconvert // on FreeBSD it is an int64
}
