package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/stretchr/testify/require"

	"broach"
)

// The scripts in testdata/script run the program against real processes on loopback: two providers, of which the first
// is the seed of all.

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"broach": main, "provider": provide})
}

// picture is an argument with all that JSON has no word for.
type picture struct {
	Name   string
	Bytes  []byte
	Taken  time.Time
	Shown  time.Duration
	Tags   map[int]string
	Parent *picture
}

// escape would colour a terminal red, and name its window.
const escape = "\x1b[31mred\x1b]0;title\x07"

// provide is a provider: its arguments are its seeds, after its own address, if that is not "".
func provide() {
	node, err := broach.Start(broach.Config{
		Addr: os.Args[1], Join: os.Args[2:], Name: "商店", Version: "1.2",
		Tags:   map[string]string{"zone": "a", "evil": "\u202egpj"},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	for name, fn := range map[string]any{
		"work01": func(x, y int) int { return x + y },
		"greet":  func(name string) string { return "hello " + name },
		"sum": func(list ...float64) (total float64) {
			for _, x := range list {
				total += x
			}
			return total
		},
		"copy": func(p picture) picture { return p },
		"any":  func(v any) any { return v },
		"two":  func() (int, string) { return 1, escape },
		"none": func() {},
		"count": func(ctx context.Context, n int) iter.Seq2[picture, error] {
			return func(yield func(picture, error) bool) {
				for i := range n {
					if !yield(picture{Name: fmt.Sprint(i), Shown: time.Second}, nil) {
						return
					}
				}
				if n == 3 {
					yield(picture{}, errors.New("three is too many"))
				}
			}
		},
		"total": func(from int, in iter.Seq2[int, error]) (int, error) {
			for n, err := range in {
				if err != nil {
					return 0, err
				}
				from += n
			}
			return from, nil
		},
		"echo":  func(in iter.Seq2[time.Duration, error]) iter.Seq2[time.Duration, error] { return in },
		"fail":  func() error { return errors.New("no luck " + escape + "\nwell") },
		"own":   func() error { return broach.Errorf(1001, "sold out") },
		"deny":  func() error { return broach.Errorf(broach.Unauthenticated, "not you") },
		"slow":  func(d time.Duration) { time.Sleep(d) },
		"meta":  func(ctx context.Context) string { call, _ := broach.InvocationFrom(ctx); return call.Meta()["who"] },
		"where": func(ctx context.Context) string { return node.Addr().String() },
	} {
		opts := []broach.RegisterOption{broach.Doc(name + " " + escape)}
		if name == "work01" {
			opts = []broach.RegisterOption{broach.Doc("work01(x, y) adds two numbers"), broach.Idempotent()}
		}
		if err := node.Register(name, fn, opts...); err != nil {
			panic(err)
		}
	}
	fmt.Println(node.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin) // ends with who started it
	_ = node.Close()
}

// startProvider starts one, and returns its address when it serves, and what ends it.
func startProvider(t require.TestingT, seeds ...string) (addr string, end func()) {
	c := exec.Command("provider", append([]string{""}, seeds...)...)
	in, err := c.StdinPipe()
	require.NoError(t, err)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	c.Stderr = os.Stderr
	require.NoError(t, c.Start())
	addr, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(addr), func() {
		_ = in.Close()
		_ = c.Wait()
	}
}

// startCluster starts two, and returns when the first knows of both.
func startCluster(t require.TestingT) (one, two string, end func()) {
	one, endOne := startProvider(t)
	two, endTwo := startProvider(t, one)
	node := startGuest(t, one)
	defer node.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	require.NoError(t, node.WaitFor(ctx, "work01", 2))
	return one, two, func() { endTwo(); endOne() }
}

func startGuest(t require.TestingT, seed string) *broach.Node {
	node, err := broach.Start(broach.Config{Guest: true, Join: []string{seed}, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return node
}

// fatal lets a script be the T of what is required.
type fatal struct{ testscript.T }

// Errorf says what is wrong.
func (f fatal) Errorf(format string, args ...any) { f.Log(fmt.Sprintf(format, args...)) }

// generatedCode is what broach gen go writes; the script compares it with that.
const generatedCode = "testdata/gen/stubs.go"

func TestScripts(t *testing.T) {
	generated, err := filepath.Abs(generatedCode)
	require.NoError(t, err)
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", Cmds: commands,
		Setup: func(e *testscript.Env) error {
			one, two, end := startCluster(fatal{e.T()})
			e.Defer(end)
			e.Setenv("BROACH_SEEDS", one)
			e.Setenv("ONE", one)
			e.Setenv("TWO", two)
			e.Setenv("FREE", freeAddr())
			e.Setenv("GENERATED", generated)
			e.Setenv("XDG_CACHE_HOME", e.WorkDir+"/cache")
			e.Setenv("XDG_STATE_HOME", e.WorkDir+"/state")
			return nil
		},
	})
}

// commands are those of our own in scripts.
var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"exits":      exits,
	"waitsub":    waitForSubscriber,
	"waitmember": waitForMember,
	"waithttp":   waitForHTTP,
}

// freeAddr is an address that nobody uses, for UDP and TCP.
func freeAddr() string {
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		c, err := net.ListenPacket("udp", l.Addr().String())
		_ = l.Close()
		if err == nil {
			_ = c.Close()
			return l.Addr().String()
		}
	}
}

// waitForMember waits until a member answers at an address, in a cluster, which may have a key.
func waitForMember(ts *testscript.TestScript, _ bool, args []string) {
	cfg := broach.Config{Guest: true, Join: args[:1], Cluster: args[1], Logger: slog.New(slog.DiscardHandler)}
	for _, file := range args[2:] {
		key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(ts.ReadFile(file)))
		ts.Check(err)
		cfg.Keys = append(cfg.Keys, key)
	}
	node, err := broach.Start(cfg)
	ts.Check(err)
	defer node.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ts.Check(node.WaitJoined(ctx))
}

// waitForHTTP waits until a server answers with 200.
func waitForHTTP(ts *testscript.TestScript, _ bool, args []string) {
	for began := time.Now(); time.Since(began) < 30*time.Second; time.Sleep(20 * time.Millisecond) {
		answer, err := http.Get(args[0])
		if err != nil {
			continue
		}
		_ = answer.Body.Close()
		if answer.StatusCode == http.StatusOK {
			return
		}
	}
	ts.Fatalf("%s does not answer", args[0])
}

// exits runs a program that must end with the exit code that stands first.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if failed := new(exec.ExitError); errors.As(err, &failed) {
		code = fmt.Sprint(failed.ExitCode())
	}
	if code != args[0] {
		ts.Fatalf("exit code %s, not %s: %v", code, args[0], err)
	}
}

// waitForSubscriber waits until somebody has subscribed to a topic, and the seed knows of it.
func waitForSubscriber(ts *testscript.TestScript, _ bool, args []string) {
	seed := ts.Getenv("BROACH_SEEDS")
	node, err := broach.Start(broach.Config{Join: []string{seed}, Logger: slog.New(slog.DiscardHandler)})
	ts.Check(err)
	defer node.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ts.Check(node.WaitForSubscribers(ctx, args[0], 1))
}

// docs/cli.md: 130 is Ctrl-C, also for a bench, which says what it has measured.
func TestAnInterruptedBenchSaysSo(t *testing.T) {
	one, end := startProvider(t)
	defer end()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	args := []string{"bench", "work01", "1", "2", "--yes", "--for", "1m", "-s", one}
	require.Equal(t, exitInterrupted, run(ctx, args))
}
