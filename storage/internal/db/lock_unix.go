//go:build unix && !aix && !solaris

package db

// flock belongs to the open file: it also holds between two that one process opened, and no child inherits it (close on
// exec).

import (
	"errors"
	"os"
	"syscall"
)

// lockFile locks f without waiting; errLocked when somebody else has it.
func lockFile(f *os.File, alone bool) error {
	how := syscall.LOCK_SH
	if alone {
		how = syscall.LOCK_EX
	}
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EWOULDBLOCK):
			return errLocked
		}
		return err
	}
}

func unlockFile(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
