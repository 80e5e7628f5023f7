//go:build !linux

package doctor

import "errors"

// diskOf knows Linux alone, where this is served from.
func diskOf(string) (Disk, error) { return Disk{}, errors.ErrUnsupported }
