//go:build !race

// Package race says whether the race detector is on: for tests that do less then, as it makes everything ten times as
// slow, and for what overwrites memory that is given back, so that tests see who still uses it.
//
// A test may run fewer seeds or smaller clusters under it, or leave out minutes in which nodes are idle: that meets no
// interleaving that the first seconds did not. It may not leave out what two goroutines do to one value, nor check less
// of what it does run. Counts of allocations do not hold under the detector either, which allocates by itself.
//
// Sampled is for the first of these: it holds for the runs on 32 bits and on an emulated processor, too.
//
// It is a package, for files that depend on a build tag would otherwise stand in each room.
package race

// Enabled says that the tests run under the race detector.
const Enabled = false
