package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broach"
)

var edits = flag.Int("edits", 1, "how often TestDevReplacesWithoutAFailedCall edits the program")

// edited is a program whose function says which edit it is of.
const edited = `package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"broach"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	node, err := broach.Run(os.Args[1])
	if err != nil {
		panic(err)
	}
	if err := node.Register("edit", func() int { return %s }, broach.Idempotent()); err != nil {
		panic(err)
	}
	<-ctx.Done()
	_ = node.Leave(context.Background())
}
`

// project is a folder with such a program, within this module.
type project struct {
	t   *testing.T
	dir string
}

func newProject(t *testing.T) *project {
	dir, err := os.MkdirTemp("testdata", "dev-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &project{t, dir}
	p.write("app.json", `{"name": "edited", "logLevel": "error"}`)
	p.save("0")
	return p
}

func (p *project) write(name, text string) {
	require.NoError(p.t, os.WriteFile(filepath.Join(p.dir, name), []byte(text), 0o644))
}

func (p *project) save(result string) { p.write("main.go", fmt.Sprintf(edited, result)) }

// syncBuffer is a text that a process writes, and a test reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// dev runs broach dev on the program.
func (p *project) dev(seed string, flags ...string) (said *syncBuffer, end func()) {
	said = &syncBuffer{}
	args := append([]string{"dev", "--watch", p.dir}, flags...)
	args = append(args, "--", "go", "run", "./"+p.dir, p.dir+"/app.json")
	c := exec.Command("broach", args...)
	c.Env = append(os.Environ(), "BROACH_SEEDS="+seed)
	c.Stdout, c.Stderr = said, said
	require.NoError(p.t, c.Start())
	return said, func() {
		require.NoError(p.t, c.Process.Signal(os.Interrupt))
		require.NoError(p.t, c.Wait(), said)
	}
}

// caller calls the program a thousand times a second, and remembers what came.
type caller struct {
	calls, failed atomic.Int64
	result        atomic.Int64
	last          atomic.Value // the last error
}

func startCaller(t *testing.T, seed string) (*caller, func()) {
	node, err := broach.Start(broach.Config{Join: []string{seed}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	waiting, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	require.NoError(t, node.WaitFor(waiting, "edit", 1))
	c, ctx, stop := &caller{}, t.Context(), make(chan struct{})
	var calls sync.WaitGroup
	calls.Go(func() {
		beat := time.NewTicker(time.Millisecond)
		defer beat.Stop()
		for {
			select {
			case <-stop:
				return
			case <-beat.C:
				calls.Go(func() { c.call(ctx, node) })
			}
		}
	})
	return c, func() {
		close(stop)
		calls.Wait()
		_ = node.Close()
	}
}

func (c *caller) call(ctx context.Context, node *broach.Node) {
	n, err := broach.Call[int64](ctx, node.Caller("edit"))
	c.calls.Add(1)
	if err != nil {
		c.failed.Add(1)
		c.last.Store(err.Error())
		return
	}
	for old := c.result.Load(); old < n && !c.result.CompareAndSwap(old, n); old = c.result.Load() {
	}
}

// await waits until a call has returned what an edit says.
func await(t *testing.T, said *syncBuffer, what string, isSo func() bool) {
	t.Helper()
	for began := time.Now(); !isSo(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 60*time.Second {
			t.Fatalf("%s: not within a minute: %s", what, said)
		}
	}
}

// awaits waits until a text was said so many times.
func (b *syncBuffer) awaits(t *testing.T, text string, times int) {
	t.Helper()
	await(t, b, text, func() bool { return strings.Count(b.String(), text) == times })
}

func TestDevReplacesWithoutAFailedCall(t *testing.T) {
	t.Parallel()
	one, _, end := startCluster(t)
	defer end()
	p := newProject(t)
	said, endDev := p.dev(one)
	c, endCalls := startCaller(t, one)
	for n := 1; n <= *edits; n++ {
		p.save("nonsense") // a broken edit leaves the old one where it is
		said.awaits(t, "the build failed", n)
		began := time.Now()
		p.save(fmt.Sprint(n))
		await(t, said, "the edit", func() bool { return c.result.Load() == int64(n) })
		t.Logf("edit %d: first call of the new code %v after the save", n, time.Since(began).Round(time.Millisecond))
		said.awaits(t, "in place after", n+1)
	}
	endCalls()
	endDev()
	t.Logf("%d calls, %d failed\n%s", c.calls.Load(), c.failed.Load(), said)
	require.Zero(t, c.failed.Load(), c.last.Load())
	require.Contains(t, said.String(), "undefined: nonsense")
	require.NotContains(t, said.String(), "NotifyContext", "it has left")
}

func TestDevInTurn(t *testing.T) {
	t.Parallel()
	one, _, end := startCluster(t)
	defer end()
	p := newProject(t)
	p.write("main.go", "package main\n\nimport \"time\"\n\nfunc main() { time.Sleep(time.Hour) }\n")
	said, endDev := p.dev(one, "--fixed")
	said.awaits(t, "in place", 1)
	p.write("main_test.go", "package main") // that is no reason to build
	p.write("main.go", "package main\n\nfunc main() {}\n")
	said.awaits(t, "has ended: exit status 0", 1)
	endDev()
	require.Equal(t, 2, strings.Count(said.String(), "in place"), said)
	require.Contains(t, said.String(), "it needs signal.NotifyContext and Leave")
}

func TestGoRunIsBuiltAndRun(t *testing.T) {
	for text, want := range map[string][2]string{
		"go run ./x a b":                 {"./x", "a b"},
		"go run -race -tags x ./x -a":    {"-race -tags x ./x", "-a"},
		"go run -ldflags=-s a.go b.go c": {"-ldflags=-s a.go b.go", "c"},
		"make run":                       {"", "make run"},
		"go run":                         {"", "go run"},
	} {
		b := newBuilder(strings.Fields(text), "dir")
		require.Equal(t, want, [2]string{strings.Join(b.buildOf, " "), strings.Join(b.args, " ")}, text)
	}
}

// A program that knows nothing of SIGTERM loses its calls: somebody is to know.
func TestDevSaysWhoDoesNotLeave(t *testing.T) {
	said := &syncBuffer{}
	d := &developer{app: &app{out: said, log: said}, interrupts: make(chan os.Signal, 1)}
	c, err := startChild([]string{"sleep", "60"}, "", d.app)
	require.NoError(t, err)
	d.stop(c, syscall.SIGTERM)
	require.Contains(t, said.String(), "it needs signal.NotifyContext and Leave")
}
