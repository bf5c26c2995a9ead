package broachtest

import (
	"context"
	"fmt"
	"reflect"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"broach"
)

// A goroutine has the labels of the one that started it. So those of a cluster's nodes are told from all others by a
// label, also where tests run side by side. The exceptions are workers that a local call of the test has started, of
// which nodes know how many run a function.
const markLabel = "broachtest"

var marks atomic.Uint64

// nextMark is a mark that no other cluster of this process has.
func nextMark() string { return strconv.FormatUint(marks.Add(1), 10) }

// setMark marks this goroutine.
func setMark(mark string) {
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(markLabel, mark)))
}

// leakGrace is how long goroutines may take to end after their nodes were closed, which wait a second for functions.
const leakGrace = time.Second

// leaks waits until no goroutine of a closed cluster is left, and returns the stacks of those that do not end. What a
// function has started and left running is its own business.
func (c *Cluster) leaks() (stacks string) {
	for end := time.Now().Add(leakGrace); ; time.Sleep(leakGrace / 100) {
		if stacks = c.leftovers(); stacks == "" || time.Now().After(end) {
			return stacks
		}
	}
}

// leftovers is the stacks of the goroutines that are left now. Where a function still runs, that may be one that
// nobody has marked.
func (c *Cluster) leftovers() string {
	isOwn := func(stack string) bool { return strings.Contains(stack, fmt.Sprintf("%q:%q", markLabel, c.mark)) }
	running := 0
	for _, p := range c.snapshot() {
		if n := p.node.Load(); n != nil {
			running += n.Stats().Running
		}
	}
	if running == 0 {
		return stacksOf(isOwn)
	}
	return fmt.Sprintf("%d functions have not returned\n\n", running) + stacksOf(func(stack string) bool {
		return isOwn(stack) || !strings.Contains(stack, strconv.Quote(markLabel))
	})
}

// stacksOf is the stacks of some of the goroutines that are in code of broach.
func stacksOf(isMeant func(stack string) bool) string {
	var all, meant strings.Builder
	pprof.Lookup("goroutine").WriteTo(&all, 1)
	home := reflect.TypeFor[broach.Node]().PkgPath()
	for stack := range strings.SplitSeq(all.String(), "\n\n") {
		isOfNode := strings.Contains(stack, "\t"+home+".") || strings.Contains(stack, "\t"+home+"/internal/")
		if isOfNode && isMeant(stack) {
			meant.WriteString(stack + "\n\n")
		}
	}
	return meant.String()
}
