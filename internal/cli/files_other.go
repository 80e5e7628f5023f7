//go:build !unix

package cli

import "io/fs"

// openFiles is how many files this process may have open: these systems have no such limit.
func openFiles() uint64 { return 1 << 20 }

// trusted reports whether a file belongs to us: that can't be asked here.
func trusted(fs.FileInfo) bool { return true }
