//go:build race

package intruder

// Raced says that the tests run under the race detector, where floods are smaller.
const Raced = true
