package broach

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// loggerTo writes lines of a level and above as text, without their times.
func loggerTo(w io.Writer, level slog.Leveler) *slog.Logger {
	timeless := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: timeless}))
}

// sharedLog is a log that may be read while nodes write.
type sharedLog struct {
	mu   sync.Mutex // protects text: readers, loops and the test
	text bytes.Buffer
}

func (l *sharedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *sharedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// loggedBy gives the nodes that start from now on a log, of warnings only.
func (c *cluster) loggedBy() *sharedLog {
	log, edit := new(sharedLog), c.edit
	c.edit = func(cfg *Config) {
		edit(cfg)
		cfg.Logger = loggerTo(log, slog.LevelWarn)
	}
	return log
}

// captured runs a program whose slog.Default is at level, and returns what came out of it and what came out of standard
// error.
func captured(t *testing.T, level slog.Level, program func()) (own, stderr string) {
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	require.NoError(t, err)
	defer file.Close()
	before, stderrBefore := slog.Default(), os.Stderr
	defer func() { slog.SetDefault(before); os.Stderr = stderrBefore }()
	os.Stderr = file

	var out bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level})))
	program()
	data, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	return out.String(), string(data)
}

// logged logs one line of each level as a node with c, and returns the levels that came out.
func logged(t *testing.T, level slog.Level, c Config) (own, stderr string) {
	own, stderr = captured(t, level, func() {
		log := c.logger().With("node", 1).WithGroup("g")
		for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
			log.Log(context.Background(), l, l.String(), "k", 2)
		}
	})
	return messages(t, own), messages(t, stderr)
}

// messages returns the msg of each line, and insists on the attributes that logged adds.
func messages(t *testing.T, text string) string {
	var found []string
	for line := range strings.Lines(text) {
		require.Contains(t, line, "node=1 g.k=2")
		_, rest, _ := strings.Cut(line, "msg=")
		msg, _, _ := strings.Cut(rest, " ")
		found = append(found, msg)
	}
	return strings.Join(found, " ")
}

func TestLogLevels(t *testing.T) {
	tests := []struct {
		program     slog.Level // of slog.Default
		level       string
		own, stderr string
	}{
		{slog.LevelInfo, "", "INFO WARN ERROR", ""},
		{slog.LevelDebug, "", "INFO WARN ERROR", ""},
		{slog.LevelError, "", "ERROR", ""}, // "An unset one never makes a program louder than it chose to be."
		{slog.LevelDebug, "debug", "DEBUG INFO WARN ERROR", ""},
		{slog.LevelInfo, "info", "INFO WARN ERROR", ""},
		{slog.LevelInfo, "warn", "WARN ERROR", ""},
		{slog.LevelInfo, "error", "ERROR", ""},
		{slog.LevelDebug, "off", "", ""},
		// "A LogLevel that is set is kept even if slog.Default enables less."
		{slog.LevelInfo, "debug", "", "DEBUG INFO WARN ERROR"},
		{slog.LevelError, "warn", "", "WARN ERROR"},
	}
	for _, tt := range tests {
		own, stderr := logged(t, tt.program, Config{LogLevel: tt.level})
		require.Equal(t, tt.own, own, "slog.Default at %v, LogLevel %q", tt.program, tt.level)
		require.Equal(t, tt.stderr, stderr, "slog.Default at %v, LogLevel %q", tt.program, tt.level)
	}
}

func TestLoggerIsTakenAsItIs(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	require.Same(t, log, Config{Logger: log, LogLevel: "debug"}.logger())
}

// A level that a Config does not ask for costs nothing: its lines are not made.
func TestLinesBelowTheLevelAreNotMade(t *testing.T) {
	for _, c := range []Config{{LogLevel: "info"}, {}, {LogLevel: "off"}, {Logger: slog.New(slog.DiscardHandler)}} {
		require.False(t, newJournal(c).Wants(slog.LevelDebug), "%v", c)
	}
	require.False(t, newJournal(Config{LogLevel: "off"}).Wants(slog.LevelError))
	require.False(t, newJournal(Config{LogLevel: "error"}).Wants(slog.LevelWarn))
}

// Not at debug nothing of this is said, nor made.
func TestDetailsCostNothingWhereNobodyWantsThem(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		log := new(sharedLog)
		c.edit = func(cfg *Config) { cfg.Logger = loggerTo(log, slog.LevelInfo) }
		require.NoError(t, c.start(0).Register("fails", func() error { return errors.New("no luck") }))
		n := c.start(1, 0)
		require.NoError(t, n.WaitFor(c.t.Context(), "fails", 1))
		_, err := n.Caller("fails").Call(c.t.Context())
		require.Error(t, err)
		time.Sleep(time.Second)
		require.NotContains(t, log.String(), "DEBUG")
		require.False(t, n.log.isDebugging())
		require.Zero(t, testing.AllocsPerRun(100, func() {
			n.log.noteArrival(time.Now(), arrival{})
			n.log.noteSilent(time.Now(), netip.AddrPort{})
		}))
	})
}

// The row of docs/troubles.md that internal/clustertest/troubles leaves out: as many members as there can be take
// longer than all its others together.
func TestAFullClusterIsTold(t *testing.T) {
	inCluster(t, 1, func(c *cluster) {
		logs := [2]*sharedLog{new(sharedLog), new(sharedLog)}
		begin := func(i int, log *sharedLog, peersMax int, join ...int) {
			c.edit = func(cfg *Config) { cfg.Logger, cfg.peersMax = loggerTo(log, slog.LevelDebug), peersMax }
			c.start(i, join...)
		}
		begin(0, logs[0], 1)
		begin(1, new(sharedLog), 0, 0)
		c.settle(time.Second)
		begin(2, logs[1], 0, 0)
		time.Sleep(5 * time.Second)
		is, other, remedy := troubleRow(t, "the cluster is full")
		require.Contains(t, logs[1].String(), is)
		require.Contains(t, logs[0].String(), other)
		require.Contains(t, logs[1].String(), remedy)
	})
}

// troubleRow is what a row of docs/troubles.md has in code: what the node says, what the other one says, the remedy.
func troubleRow(t *testing.T, name string) (is, other, remedy string) {
	text, err := os.ReadFile("docs/troubles.md")
	require.NoError(t, err)
	_, row, _ := strings.Cut(string(text), "| "+name+" |")
	row, _, _ = strings.Cut(row, "\n")
	words := strings.Split(row, "`")
	require.Len(t, words, 7)
	return words[1], words[3], words[5]
}
