package broach

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// logTo is a log that goes to a writer, all of it.
func logTo(w io.Writer) *logQueue { return newLogQueue(Config{Logger: loggerTo(w, slog.LevelDebug)}) }

// loggerTo writes lines of a level and above as text, without their times.
func loggerTo(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// userHandler is a slog.Handler that does what a test wants instead of writing.
type userHandler func(r slog.Record)

func (h userHandler) Enabled(context.Context, slog.Level) bool      { return true }
func (h userHandler) Handle(_ context.Context, r slog.Record) error { h(r); return nil }
func (h userHandler) WithAttrs([]slog.Attr) slog.Handler            { return h }
func (h userHandler) WithGroup(string) slog.Handler                 { return h }

// logWith is a log that goes to a handler.
func logWith(h userHandler) *logQueue { return newLogQueue(Config{Logger: slog.New(h)}) }

// "It is given the lines in their order", with the time and the place at which each was said.
func TestLinesAreWrittenInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		began := time.Now()
		log := logWith(func(r slog.Record) {
			time.Sleep(time.Second)
			frame, _ := runtime.CallersFrames([]uintptr{r.PC}).Next()
			require.True(t, strings.HasSuffix(frame.Function, ".TestLinesAreWrittenInTheirOrder.func1"), frame.Function)
			require.Equal(t, began, r.Time.Round(0).Add(0), "as it was said")
			got = append(got, r.Message)
		})
		log.Info("1")
		log.Warn("2")
		log.Error("3")
		log.Log(slog.LevelInfo, "4")
		log.Loudly("5")
		log.Flush(time.Hour)
		require.Equal(t, []string{"1", "2", "3", "4", "5"}, got)
		require.Equal(t, 5*time.Second, time.Since(began))
	})
}

// "Those for which there is no room are counted, and the Logger is told how many", where they are missing.
func TestLinesWithoutRoomAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		goOn := make(chan bool)
		log := logTo(writerFunc(func(b []byte) (int, error) { <-goOn; return text.Write(b) }))
		say := func(from, to int) {
			for i := from; i < to; i++ {
				log.Info(fmt.Sprint("line", i))
			}
		}
		say(0, 1)
		synctest.Wait() // the Logger has it
		say(1, logRoom+8)
		require.EqualValues(t, 7, log.Missing())
		goOn <- true
		synctest.Wait()
		say(logRoom+8, logRoom+12)
		close(goOn)
		log.Flush(time.Hour)
		lines := strings.Split(strings.TrimSpace(text.String()), "\n")
		require.Len(t, lines, logRoom+4, "%d waited, one found room later; after it 3 did not", logRoom)
		require.Contains(t, lines[logRoom], fmt.Sprint("line", logRoom))
		require.Contains(t, lines[logRoom+1], "lines are missing here")
		require.Contains(t, lines[logRoom+1], "lines=7")
		require.Contains(t, lines[logRoom+2], fmt.Sprint("line", logRoom+8))
		require.Contains(t, lines[logRoom+3], "lines=3", "said though no line follows")
		require.EqualValues(t, 10, log.Missing())
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// A Logger that does not return from a line loses that line, and no other.
func TestALoggerThatFailsLosesOneLine(t *testing.T) {
	for name, fail := range map[string]func(){"panics": func() { panic("no disk") }, "ends its goroutine": runtime.Goexit} {
		synctest.Test(t, func(t *testing.T) {
			var got []string
			log := logWith(func(r slog.Record) {
				if r.Message == "bad" {
					fail()
				}
				got = append(got, r.Message)
			})
			for _, text := range []string{"1", "bad", "2", "bad", "bad", "3", "bad"} {
				log.Info(text)
			}
			log.Flush(time.Hour)
			require.Equal(t, []string{"1", "2", "3"}, got, name)
			require.EqualValues(t, 4, log.Missing(), name)
			log.Info("4")
			log.Flush(time.Hour)
			require.Len(t, got, 4, "it is given lines as before")
		})
	}
}

// "Flush waits until what was said is written, but no longer than a while. What waits then is written when the Logger
// goes on."
func TestFlushWaitsForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var written atomic.Int32
		goOn := make(chan bool)
		log := logWith(func(slog.Record) { <-goOn; written.Add(1) })
		began := time.Now()
		log.Flush(time.Second)
		require.Zero(t, time.Since(began), "there was nothing to write")
		log.Info("1")
		log.Info("2")
		for range 2 { // also where two wait
			go log.Flush(time.Second)
		}
		log.Flush(time.Second)
		require.Equal(t, time.Second, time.Since(began))
		close(goOn)
		synctest.Wait()
		require.EqualValues(t, 2, written.Load())
	})
}

// "What says nothing is left out."
func TestWhatSaysNothingIsNotPrinted(t *testing.T) {
	var text bytes.Buffer
	log := logTo(&text)
	log.Info("a", "name", "", "suppressed", 0, "functions", 0)
	log.Info("b", "name", "shop", "suppressed", 3)
	log.Flush(time.Hour)
	require.Equal(t, "level=INFO msg=a functions=0\nlevel=INFO msg=b name=shop suppressed=3\n", text.String())
}

// Lines that nobody wants are not made; whether debug lines are wanted is asked again, for a slog.LevelVar may have
// been set.
func TestDebugLinesAreMadeWhereTheyAreWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		var level slog.LevelVar
		log := newLogQueue(Config{Logger: loggerTo(&text, &level)})
		say := func() string {
			text.Reset()
			log.Debug("detail")
			log.Info("news")
			log.Flush(time.Hour)
			return text.String()
		}
		require.Equal(t, "level=INFO msg=news\n", say())
		level.Set(slog.LevelDebug)
		log.Ask(time.Now())
		synctest.Wait()
		require.Equal(t, "level=DEBUG msg=detail\nlevel=INFO msg=news\n", say())
		level.Set(slog.LevelError)
		require.Empty(t, say(), "at once")
		for _, c := range []Config{{LogLevel: "info"}, {}, {LogLevel: "off"}, {Logger: slog.New(slog.DiscardHandler)}} {
			require.False(t, newLogQueue(c).Wants(slog.LevelDebug), "%v", c)
		}
		require.False(t, newLogQueue(Config{LogLevel: "off"}).Wants(slog.LevelError))
		require.False(t, newLogQueue(Config{LogLevel: "error"}).Wants(slog.LevelWarn))
	})
}
