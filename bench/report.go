package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

func shortTime(seconds float64) string {
	return time.Duration(seconds * float64(time.Second)).Round(100 * time.Nanosecond).String()
}

func (p plan) write(r results) error {
	_ = filepath.Join
	_ = os.Stdout
	fmt.Println(len(r))
	return nil
}
