package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"broach"

	"broach/bench/internal/page"
)

// A failure is how a call failed.
type failure struct {
	code     broach.Code
	executed broach.Executed
}

// A tally is what became of the calls that ended in some time.
type tally struct {
	calls, wrong int // all of them, and those with a wrong answer
	failed       map[failure]int

	longest, longestFailed time.Duration // of the answered calls, and of the others
}

// add counts a call.
func (t *tally) add(took time.Duration, isRight bool, err error) {
	t.calls++
	if e, ok := errors.AsType[*broach.Error](err); ok {
		t.fail(took, failure{e.Code, e.Executed})
		return
	}
	t.longest = max(t.longest, took)
	if !isRight {
		t.wrong++
	}
}

func (t *tally) fail(took time.Duration, f failure) {
	if t.failed == nil {
		t.failed = make(map[failure]int)
	}
	t.failed[f]++
	t.longestFailed = max(t.longestFailed, took)
}

// failures lists how many calls failed in which way.
func (t tally) failures() string {
	var list []string
	for _, f := range slices.SortedFunc(maps.Keys(t.failed), failure.compare) {
		list = append(list, fmt.Sprintf("%s %v (%v)", page.Count(float64(t.failed[f])), f.code, f.executed))
	}
	return cmp.Or(strings.Join(list, ", "), "0")
}

func (f failure) compare(g failure) int {
	return cmp.Or(cmp.Compare(f.code, g.code), cmp.Compare(f.executed, g.executed))
}

// A counter is a tally that many callers add to.
type counter struct {
	mu  sync.Mutex // protects sum
	sum tally
}

func (c *counter) add(took time.Duration, isRight bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sum.add(took, isRight, err)
}

// take returns the tally since it was last called.
func (c *counter) take() tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.sum
	c.sum = tally{}
	return t
}
