// Package rules tests what must hold of the code as a whole: which package imports which, where goroutines start and
// clocks are read, what the public face is, that each rule of PROTOCOL.md has a test, that examples print no keys, that
// deploy/ names what there is.
package rules

import (
	"os"
	"testing"
)

// The tests read the module from its root.
func TestMain(m *testing.M) {
	if err := os.Chdir("../.."); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
