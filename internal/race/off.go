//go:build !race

// Package race says whether the race detector is on, for tests that do less then: it makes everything ten times as
// slow.
package race

// Enabled says that the tests run under the race detector.
const Enabled = false
