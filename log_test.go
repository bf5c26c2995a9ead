package broach

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
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

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// userHandler is a slog.Handler that does what a test wants instead of writing.
type userHandler func(r slog.Record)

func (h userHandler) Enabled(context.Context, slog.Level) bool      { return true }
func (h userHandler) Handle(_ context.Context, r slog.Record) error { h(r); return nil }
func (h userHandler) WithAttrs([]slog.Attr) slog.Handler            { return h }
func (h userHandler) WithGroup(string) slog.Handler                 { return h }

const logRoom = 256 // lines that wait for a Logger

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
		require.False(t, newLogQueue(c).Wants(slog.LevelDebug), "%v", c)
	}
	require.False(t, newLogQueue(Config{LogLevel: "off"}).Wants(slog.LevelError))
	require.False(t, newLogQueue(Config{LogLevel: "error"}).Wants(slog.LevelWarn))
}

// sayLoudly says a line that no LogLevel may hide, as a node with c.
func sayLoudly(c Config, args ...any) {
	log := newLogQueue(c)
	log.Loudly("open", args...)
	log.Flush(time.Hour)
}

// "Loudly says what no LogLevel may hide."
func TestALoudLineIsHeardAtEveryLogLevel(t *testing.T) {
	const silence = slog.LevelError + 1
	for _, logLevel := range []string{"", "debug", "info", "warn", "error", "off"} {
		for program, want := range map[slog.Level]string{slog.LevelInfo: "level=WARN", slog.LevelError: "level=ERROR", silence: ""} {
			own, stderr := captured(t, program, func() { sayLoudly(Config{LogLevel: logLevel}, "addr", 7) })
			heard := own
			if program == silence {
				require.Empty(t, own)
				heard, want = stderr, "level=ERROR"
			} else {
				require.Empty(t, stderr)
			}
			require.Contains(t, heard, want+" msg=open addr=7\n", "slog.Default at %v, LogLevel %q", program, logLevel)
			require.Equal(t, 1, strings.Count(heard, "\n"))
		}
	}
}

func TestALoudLineGoesToTheLogger(t *testing.T) {
	for level, want := range map[slog.Level]string{
		slog.LevelDebug: "level=WARN msg=open\n", slog.LevelWarn: "level=WARN msg=open\n",
		slog.LevelWarn + 1: "level=ERROR msg=open\n", slog.LevelError: "level=ERROR msg=open\n", slog.LevelError + 1: "",
	} {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level}))
		own, stderr := captured(t, slog.LevelDebug, func() { sayLoudly(Config{Logger: log, LogLevel: "off"}) })
		_, line, _ := strings.Cut(out.String(), " ") // after the time
		require.Equal(t, want, line, "a Logger at %v", level)
		require.Empty(t, own+stderr)
	}
}
