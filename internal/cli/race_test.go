//go:build race

package cli

// The race detector makes everything several times slower; tests whose tokens live for seconds give them more of them.

const slowdown = 3
