//go:build !race

package cli

// The other half of race_test.go.

const slowdown = 1
