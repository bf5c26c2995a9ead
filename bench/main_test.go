package main

import (
	"fmt"
	"os"
	"testing"
)

// TestMain lets the tests start this program as a child too.
func TestMain(m *testing.M) {
	name := os.Getenv(serveEnv)
	if name == "" {
		os.Exit(m.Run())
	}
	if err := serveChild(name); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
