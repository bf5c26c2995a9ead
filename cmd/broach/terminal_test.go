package main

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/stretchr/testify/require"

	"broach"
)

// terminal is a program on a pseudo terminal.
type terminal struct {
	t     *testing.T
	file  *os.File
	cmd   *exec.Cmd
	state string // the folder of what the program keeps

	mu     sync.Mutex
	screen string        // all that was printed
	grew   chan struct{} // closed and replaced when there is more
}

// onTerminal starts a program on a terminal of that many columns.
func onTerminal(t *testing.T, columns uint16, seed string, args ...string) *terminal {
	t.Helper()
	state, c := t.TempDir(), exec.Command(args[0], args[1:]...)
	c.Env = append(os.Environ(), "BROACH_SEEDS="+seed, "TERM=xterm", "XDG_STATE_HOME="+state, "XDG_CACHE_HOME="+state,
		"NO_COLOR=1", "HOME="+state)
	f, err := pty.StartWithSize(c, &pty.Winsize{Rows: 24, Cols: columns})
	require.NoError(t, err)
	term := &terminal{t: t, file: f, cmd: c, state: state, grew: make(chan struct{})}
	go term.read()
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = f.Close()
	})
	return term
}

func (term *terminal) read() {
	b := make([]byte, 4096)
	for {
		n, err := term.file.Read(b)
		term.mu.Lock()
		term.screen += string(b[:n])
		close(term.grew)
		term.grew = make(chan struct{})
		term.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (term *terminal) press(keys string) {
	_, err := term.file.WriteString(keys)
	require.NoError(term.t, err)
}

// await waits until something was printed after what came before, and forgets what stands before its end.
func (term *terminal) await(text string) (before string) {
	term.t.Helper()
	late := time.After(30 * time.Second)
	for {
		term.mu.Lock()
		grew := term.grew
		if before, after, ok := strings.Cut(term.screen, text); ok {
			term.screen = after
			term.mu.Unlock()
			return before + text
		}
		screen := term.screen
		term.mu.Unlock()
		select {
		case <-grew:
		case <-late:
			term.t.Fatalf("%q was not printed, but %q", text, screen)
		}
	}
}

// ends waits for the end of the program.
func (term *terminal) ends() {
	term.t.Helper()
	require.NoError(term.t, term.cmd.Wait())
}

// masked is a text of a terminal as it can be compared: without what moves the cursor, numbers that differ from run to
// run, and the width that these give to columns.
func masked(text string) string {
	text = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]`).ReplaceAllString(text, "")
	text = strings.ReplaceAll(text, "\r", "")
	text = regexp.MustCompile(`127\.0\.0\.1:\d+`).ReplaceAllString(text, "ADDR")
	text = regexp.MustCompile(`\b\d+(\.\d+)?(m?s|%| MiB)`).ReplaceAllString(text, "N$2")
	return regexp.MustCompile(`([^ \n]) +`).ReplaceAllString(text, "$1 ")
}

func TestTopOnATerminal(t *testing.T) {
	one, _, end := startCluster(t)
	defer end()
	for _, columns := range []uint16{80, 120} {
		term := onTerminal(t, columns, one, "broach", "top")
		term.await(screenOn)
		term.await(toCorner)
		picture := term.await(eraseRest)
		for line := range strings.Lines(strings.ReplaceAll(picture, eraseLine, "")) {
			require.LessOrEqual(t, len([]rune(strings.TrimRight(line, "\r\n"))), int(columns)+len(eraseRest), line)
		}
		golden(t, map[uint16]string{80: "screen-top-80", 120: "screen-top-120"}[columns], masked(picture)+"\n")
		term.press("s")
		term.await("sorted by errors/s")
		term.press("r")
		term.await("sorted by errors/s, reversed")
		term.press("q")
		term.await(screenOff)
		term.ends()
	}
}

// awaitRunning waits until a function runs at one of the members.
func awaitRunning(t *testing.T, members ...string) {
	node := startGuest(t, members[0])
	defer node.Close()
	for t.Context().Err() == nil {
		for _, at := range members {
			v, err := node.Inspect(t.Context(), netip.MustParseAddrPort(at), broach.ViewStats)
			require.NoError(t, err)
			if v.Stats.Running > 0 {
				return
			}
			time.Sleep(100 * time.Millisecond) // a member answers ten times a second
		}
	}
}

func TestShellOnATerminal(t *testing.T) {
	one, two, end := startCluster(t)
	defer end()
	for _, columns := range []uint16{80, 120} {
		term := onTerminal(t, columns, one, "broach", "shell")
		said := term.await("broach> ")
		for _, line := range []string{
			"work01(1, -2)", "work01", "wrok01(1)", `greet("商店")`, "work01(1, x)", "services work", "ctx who=me",
			"meta()", "ctx who=", "ctx", "timeout 100ms", `slow("150ms")`,
		} {
			term.press(line + "\r")
			term.await("\n")
			said += "\n" + line + "\n" + term.await("broach> ")
		}
		golden(t, map[uint16]string{80: "screen-shell-80", 120: "screen-shell-120"}[columns], masked(said)+"\n")

		term.press("timeout 1m\r")
		term.await("\n")
		term.await("broach> ")
		term.press(`slow("3s")` + "\r")
		term.await("\n")
		awaitRunning(t, one, two)
		term.press("\x03")
		term.await("Canceled")
		term.await("broach> ")

		term.press("wor\t") // the only name that begins so
		term.await("work01(")
		term.press("\t")
		term.await("work01(x, y)")
		term.press("\x03")
		term.await("broach> ")
		term.press("\x04")
		term.ends()
		requirePrivate(t, filepath.Join(term.state, "broach", "history"), "services work")
	}
}

// requirePrivate is for what is kept from one run to the next: nobody else may read it.
func requirePrivate(t *testing.T, path, has string) {
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(text), has)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
}

// cachedNames is the file of names that were completed.
func cachedNames(t *testing.T, dir string) string {
	paths, err := filepath.Glob(filepath.Join(dir, "broach", "names-*.json"))
	require.NoError(t, err)
	require.Len(t, paths, 1)
	return paths[0]
}
