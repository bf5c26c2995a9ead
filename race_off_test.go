//go:build !race

package broach

// raceEnabled says that the tests run under the race detector.
const raceEnabled = false
