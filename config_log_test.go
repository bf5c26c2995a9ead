package broach

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// logged runs a program whose slog.Default is at level, logs one line of each level as a node with c, and returns the levels
// that came out of slog.Default and those that came out of standard error.
func logged(t *testing.T, level slog.Level, c Config) (own, stderr string) {
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	require.NoError(t, err)
	defer file.Close()
	before, stderrBefore := slog.Default(), os.Stderr
	defer func() { slog.SetDefault(before); os.Stderr = stderrBefore }()
	os.Stderr = file

	var out bytes.Buffer
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level})))
	log := c.logger().With("node", 1).WithGroup("g")
	for _, l := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		log.Log(context.Background(), l, l.String(), "k", 2)
	}
	data, err := os.ReadFile(file.Name())
	require.NoError(t, err)
	return messages(t, out.String()), messages(t, string(data))
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
		{slog.LevelInfo, "debug", "", "DEBUG INFO WARN ERROR"}, // "A LogLevel that is set is kept even if slog.Default enables less."
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
