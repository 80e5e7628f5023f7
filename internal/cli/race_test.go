//go:build race

package cli

// The race detector makes everything several times slower, so people do less in a second there.

const slowdown = 3
