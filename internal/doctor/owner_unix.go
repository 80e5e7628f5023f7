//go:build unix

package doctor

import (
	"os"
	"syscall"
)

// sameOwner reports whether two files belong to the same user.
func sameOwner(a, b os.FileInfo) bool {
	one, ok := a.Sys().(*syscall.Stat_t)
	other, okToo := b.Sys().(*syscall.Stat_t)
	return ok && okToo && one.Uid == other.Uid
}
