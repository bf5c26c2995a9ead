package broachtest_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"broach/broachtest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

// inBubble runs a test on an empty cluster in a bubble.
func inBubble(t *testing.T, test func(t *testing.T, c *broachtest.Cluster), opts ...broachtest.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, broachtest.New(t, opts...)) })
}

// inBoth runs a test in a bubble and outside of one.
func inBoth(t *testing.T, test func(t *testing.T, c *broachtest.Cluster), opts ...broachtest.Option) {
	t.Run("bubble", func(t *testing.T) { inBubble(t, test, opts...) })
	t.Run("real time", func(t *testing.T) { test(t, broachtest.New(t, opts...)) })
}

// fakeT is a T that keeps what it is told, for tests that are to fail, and for examples, which have none.
type fakeT struct {
	testing.TB

	mu       sync.Mutex // protects all below
	failures []string
	logs     []string
	cleanups []func()
}

// newFake is one that ends with a T at the latest, as its nodes must.
func newFake(t testing.TB) *fakeT {
	f := &fakeT{}
	t.Cleanup(f.end)
	return f
}

func (f *fakeT) Helper() {}

func (f *fakeT) Cleanup(do func()) { f.cleanups = append(f.cleanups, do) }

func (f *fakeT) Errorf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failures = append(f.failures, fmt.Sprintf(format, args...))
}

func (f *fakeT) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}

func (f *fakeT) Fatal(args ...any) { f.Fatalf("%s", fmt.Sprint(args...)) }

func (f *fakeT) Logf(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logs = append(f.logs, fmt.Sprintf(format, args...))
}

func (f *fakeT) Failed() bool { return len(f.told()) > 0 }

// told is with what the test has failed.
func (f *fakeT) told() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failures
}

// end ends the test.
func (f *fakeT) end() {
	for len(f.cleanups) > 0 {
		last := len(f.cleanups) - 1
		do := f.cleanups[last]
		f.cleanups = f.cleanups[:last]
		do()
	}
}

// failureOf does something on a goroutine of its own, and returns with what the test failed meanwhile; "": it did
// not.
func (f *fakeT) failureOf(do func()) string {
	before, donec := len(f.told()), make(chan struct{})
	go func() {
		defer close(donec)
		do()
	}()
	<-donec
	if told := f.told(); len(told) > before {
		return told[len(told)-1]
	}
	return ""
}
