package troubles

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

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

const (
	isOpen  = "broach: there are no keys: whoever reaches this node can join its cluster and call its functions"
	openMsg = ` msg="` + isOpen + `" addr=10.0.0.1:7000` + "\n"
)

// beOpen is the life of a node that others reach and that has no keys, which it says loudly.
func beOpen(t *testing.T, logger *slog.Logger, level string) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.Edit = func(cfg *broach.Config) { cfg.Logger, cfg.LogLevel = logger, level }
		require.NoError(t, c.Start(0).Close())
	})
}

// loudOf are the lines of a text that are said loudly, without their times.
func loudOf(text string) (loud string) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, isOpen) {
			_, line, _ = strings.Cut(line, " ")
			loud += line
		}
	}
	return loud
}

// "That a node without Keys can be reached from beyond loopback is logged at every LogLevel, "off" included: as a
// warning, or as an error where slog.Default [...] takes no warnings."
func TestALoudLineIsHeardAtEveryLogLevel(t *testing.T) {
	const silence = slog.LevelError + 1
	for _, logLevel := range []string{"", "debug", "info", "warn", "error", "off"} {
		for program, want := range map[slog.Level]string{
			slog.LevelInfo: "level=WARN", slog.LevelError: "level=ERROR", silence: "",
		} {
			own, stderr := captured(t, program, func() { beOpen(t, nil, logLevel) })
			heard, unheard := own, stderr
			if program == silence {
				heard, unheard, want = stderr, own, "level=ERROR"
			}
			require.Equal(t, want+openMsg, loudOf(heard), "slog.Default at %v, LogLevel %q", program, logLevel)
			require.Empty(t, loudOf(unheard))
		}
	}
}

// "or as an error where [...] the Logger takes no warnings. A Logger that takes neither is not told."
func TestALoudLineGoesToTheLogger(t *testing.T) {
	for level, want := range map[slog.Level]string{
		slog.LevelDebug: "level=WARN" + openMsg, slog.LevelWarn: "level=WARN" + openMsg,
		slog.LevelWarn + 1: "level=ERROR" + openMsg, slog.LevelError: "level=ERROR" + openMsg, slog.LevelError + 1: "",
	} {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: level}))
		own, stderr := captured(t, slog.LevelDebug, func() { beOpen(t, log, "off") })
		require.Equal(t, want, loudOf(out.String()), "a Logger at %v", level)
		require.Empty(t, own+stderr)
	}
}
