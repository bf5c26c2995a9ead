package logqueue

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

// of is a queue that gives a handler all lines, and loud ones as warnings.
func of(h slog.Handler) *Queue {
	return New(h, slog.LevelDebug, func() (slog.Handler, slog.Level) { return h, slog.LevelWarn })
}

// textTo writes lines of a level and above as text, without their times.
func textTo(w io.Writer, level slog.Leveler) slog.Handler {
	timeless := func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}
	return slog.NewTextHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: timeless})
}

// userHandler is a slog.Handler that does what a test wants instead of writing.
type userHandler func(r slog.Record)

func (h userHandler) Enabled(context.Context, slog.Level) bool      { return true }
func (h userHandler) Handle(_ context.Context, r slog.Record) error { h(r); return nil }
func (h userHandler) WithAttrs([]slog.Attr) slog.Handler            { return h }
func (h userHandler) WithGroup(string) slog.Handler                 { return h }

// "It is given the lines in their order", with the time and the place at which each was said.
func TestLinesAreWrittenInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		began := time.Now()
		log := of(userHandler(func(r slog.Record) {
			time.Sleep(time.Second)
			frame, _ := runtime.CallersFrames([]uintptr{r.PC}).Next()
			require.True(t, strings.HasSuffix(frame.Function, ".TestLinesAreWrittenInTheirOrder.func1"), frame.Function)
			require.Equal(t, began, r.Time.Round(0).Add(0), "as it was said")
			got = append(got, r.Message)
		}))
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
		log := of(textTo(writerFunc(func(b []byte) (int, error) { <-goOn; return text.Write(b) }), slog.LevelDebug))
		say := func(from, to int) {
			for i := from; i < to; i++ {
				log.Info(fmt.Sprint("line", i))
			}
		}
		say(0, 1)
		synctest.Wait() // the Logger has it
		say(1, room+8)
		require.EqualValues(t, 7, log.Missing())
		goOn <- true
		synctest.Wait()
		say(room+8, room+12)
		close(goOn)
		log.Flush(time.Hour)
		lines := strings.Split(strings.TrimSpace(text.String()), "\n")
		require.Len(t, lines, room+4, "%d waited, one found room later; after it 3 did not", room)
		require.Contains(t, lines[room], fmt.Sprint("line", room))
		require.Contains(t, lines[room+1], "lines are missing here")
		require.Contains(t, lines[room+1], "lines=7")
		require.Contains(t, lines[room+2], fmt.Sprint("line", room+8))
		require.Contains(t, lines[room+3], "lines=3", "said though no line follows")
		require.EqualValues(t, 10, log.Missing())
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// A Logger that does not return from a line loses that line, and no other.
func TestALoggerThatFailsLosesOneLine(t *testing.T) {
	for name, fail := range map[string]func(){
		"panics": func() { panic("no disk") }, "ends its goroutine": runtime.Goexit,
	} {
		synctest.Test(t, func(t *testing.T) {
			var got []string
			log := of(userHandler(func(r slog.Record) {
				if r.Message == "bad" {
					fail()
				}
				got = append(got, r.Message)
			}))
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
		log := of(userHandler(func(slog.Record) { <-goOn; written.Add(1) }))
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
	log := of(textTo(&text, slog.LevelDebug))
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
		log := of(textTo(&text, &level))
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
		quiet := New(slog.DiscardHandler, slog.LevelDebug, nil)
		quiet.Info("news")
		quiet.Flush(time.Hour)
		require.False(t, quiet.Wants(slog.LevelDebug), "it was asked")
		require.False(t, New(userHandler(nil), slog.LevelInfo, nil).Wants(slog.LevelDebug))
		require.False(t, New(userHandler(nil), slog.LevelError, nil).Wants(slog.LevelWarn))
	})
}

// "Loudly says what no level may hide": it goes where it is heard, as what is heard there, and in its turn.
func TestALoudLineGoesWhereItIsHeard(t *testing.T) {
	var text, loud bytes.Buffer
	loudest := func() (slog.Handler, slog.Level) { return textTo(&loud, slog.LevelError), slog.LevelError }
	log := New(textTo(&text, slog.LevelDebug), slog.LevelError+1, loudest)
	log.Error("trouble")
	log.Loudly("open", "addr", 7)
	log.Flush(time.Hour)
	require.Empty(t, text.String())
	require.Equal(t, "level=ERROR msg=open addr=7\n", loud.String())
}
