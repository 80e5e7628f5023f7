//go:build !race

package main

// The other half of race_test.go.

const slowdown = 1
