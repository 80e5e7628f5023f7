//go:build unix

package manifest

import (
	"os"
	"syscall"
)

// lockFile waits for the lock of a file, which the kernel gives up with the file or the process.
func lockFile(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX) }
