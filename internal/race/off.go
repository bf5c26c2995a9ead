//go:build !race

package race

// Enabled says that the tests run under the race detector.
const Enabled = false
