package stream

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// drawn are n bytes that differ from place to place.
func drawn(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// readAll ranges over a Pipe until its end.
func readAll(p *Pipe) (all []byte, end error) {
	for {
		b, err := p.Next(nil)
		if err != nil {
			return all, err
		}
		all = append(all, b...)
	}
}

// Order and once: what is written in pieces of any size is read as it was written.
func TestBytesArriveInOrderAndOnce(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r, want := rand.New(rand.NewPCG(seed, 0)), drawn(3<<20)
	var p Pipe
	go func() {
		for rest := want; len(rest) > 0; {
			n := min(len(rest), r.IntN(1<<r.IntN(20)+1))
			if p.Write(rest[:n], nil) != nil {
				break
			}
			rest = rest[n:]
		}
		p.CloseWrite(nil)
	}()
	got, end := readAll(&p)
	require.Equal(t, io.EOF, end)
	require.True(t, bytes.Equal(want, got))
}

// The same with a transport in between, which takes and puts chunks as credit allows.
func TestBytesArriveThroughATransport(t *testing.T) {
	want := drawn(3 << 20)
	var from, to Pipe
	wake := make(chan struct{}, 1)
	tell := func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	from.Carry(tell, nil)
	to.Carry(nil, tell)
	go func() {
		for n, rest := 1, want; len(rest) > 0; n = n*3%50000 + 1 {
			n = min(n, len(rest))
			if from.Write(rest[:n], nil) != nil {
				return
			}
			rest = rest[n:]
		}
		from.CloseWrite(nil)
	}()
	go func() {
		for last := false; !last; {
			var chunk []byte
			chunk, last = from.Take(nil, min(1400, to.Free()))
			to.Put(chunk)
			if len(chunk) == 0 && !last {
				<-wake
			}
		}
		to.CloseWrite(from.End())
	}()
	got, end := readAll(&to)
	require.Equal(t, io.EOF, end)
	require.True(t, bytes.Equal(want, got))
}

// Write waits while there is no room, and what is larger than all of it goes through in parts.
func TestWriterWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pipe
		want, written := drawn(Room*2+5), false
		go func() {
			_ = p.Write(want, nil)
			written = true
			p.CloseWrite(nil)
		}()
		synctest.Wait()
		require.False(t, written)
		require.Equal(t, Room, p.Waiting(), "no more than the room")
		got, _ := p.Next(nil)
		synctest.Wait()
		require.Equal(t, Room-len(got), p.Waiting(), "what the reader has in hand counts")
		all := bytes.Clone(got)
		rest, end := readAll(&p)
		require.Equal(t, io.EOF, end)
		require.True(t, bytes.Equal(want, append(all, rest...)))
	})
}

// Write wakes when nobody reads any more, and Next and Drain as well.
func TestStopWakesWhoWaits(t *testing.T) {
	why := errors.New("gone")
	waits := map[string]func(p *Pipe) error{
		"Write": func(p *Pipe) error { return p.Write(drawn(Room+1), nil) },
		"Next":  func(p *Pipe) error { _, err := p.Next(nil); return err },
		"Drain": func(p *Pipe) error { p.Carry(func() {}, nil); _ = p.Write([]byte("a"), nil); return p.Drain(nil) },
	}
	for name, wait := range waits {
		synctest.Test(t, func(t *testing.T) {
			var p Pipe
			var got error
			go func() { got = wait(&p) }()
			synctest.Wait()
			require.NoError(t, got, name)
			p.Stop(why)
			synctest.Wait()
			require.Equal(t, why, got, name)
			require.Equal(t, why, p.Write([]byte("b"), nil), name)
			p.Put([]byte("c"))
			require.Zero(t, p.Waiting(), name)
		})
	}
}

// Who waits does so until its done is closed.
func TestDoneWakesWhoWaits(t *testing.T) {
	waits := map[string]func(p *Pipe, done chan struct{}) error{
		"Write": func(p *Pipe, done chan struct{}) error { return p.Write(drawn(Room+1), done) },
		"Next":  func(p *Pipe, done chan struct{}) error { _, err := p.Next(done); return err },
		"Drain": func(p *Pipe, done chan struct{}) error { p.Carry(func() {}, nil); return p.Drain(done) },
	}
	for name, wait := range waits {
		synctest.Test(t, func(t *testing.T) {
			var p Pipe
			var got error
			done := make(chan struct{})
			go func() { got = wait(&p, done) }()
			synctest.Wait()
			require.NoError(t, got, name)
			close(done)
			synctest.Wait()
			require.Equal(t, ErrOver, got, name)
		})
	}
}

// The end comes after what was written before it, and the first end is the one that counts.
func TestEndComesLast(t *testing.T) {
	var p Pipe
	require.NoError(t, p.Write([]byte("ab"), nil))
	p.CloseWrite(io.ErrUnexpectedEOF)
	p.CloseWrite(nil)
	p.Put([]byte("late"))
	got, end := readAll(&p)
	require.Equal(t, "ab", string(got))
	require.Equal(t, io.ErrUnexpectedEOF, end)
	require.Equal(t, io.ErrUnexpectedEOF, p.End())
}

// Filled says to who Takes that there is something again after he has taken all, or that the last was written.
func TestFilledIsCalledOnceForEachTime(t *testing.T) {
	filled := 0
	var p Pipe
	p.Carry(func() { filled++ }, nil)
	write := func(s string) { require.NoError(t, p.Write([]byte(s), nil)) }
	write("ab")
	write("cd")
	require.Equal(t, 1, filled)
	b, last := p.Take([]byte(">"), 3)
	require.Equal(t, ">abc", string(b))
	require.False(t, last)
	write("ef")
	require.Equal(t, 1, filled, "not all was taken")
	b, last = p.Take(nil, 100)
	require.Equal(t, "def", string(b))
	require.False(t, last)
	write("g")
	require.Equal(t, 2, filled)
	p.CloseWrite(nil)
	p.CloseWrite(nil)
	require.Equal(t, 3, filled)
	_, last = p.Take(nil, 0)
	require.False(t, last, "there is one more byte")
	b, last = p.Take(nil, 100)
	require.Equal(t, "g", string(b))
	require.True(t, last)
	require.NoError(t, p.Drain(nil))
}

// Filled waits for as much as is wanted, and for the end.
func TestFilledWaitsForWhatIsWanted(t *testing.T) {
	filled := 0
	var p Pipe
	p.Carry(func() { filled++ }, nil)
	write := func(n int) { require.NoError(t, p.Write(drawn(n), nil)) }
	require.False(t, p.Want(10))
	write(9)
	require.Zero(t, filled)
	write(1)
	require.Equal(t, 1, filled)
	require.True(t, p.Want(10))
	write(1)
	require.Equal(t, 1, filled, "who Takes knows")
	require.False(t, p.Want(12))
	p.CloseWrite(nil)
	require.Equal(t, 2, filled)
	require.True(t, p.Want(100), "more will not come")
}

// Drain waits until the end was taken, too.
func TestDrainWaitsForTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pipe
		require.NoError(t, p.Drain(nil), "no transport")
		p.Carry(func() {}, nil)
		require.NoError(t, p.Write([]byte("a"), nil))
		require.False(t, p.IsBegun())
		isDrained := false
		go func() { isDrained = p.Drain(nil) == nil }()
		_, last := p.Take(nil, 1)
		synctest.Wait()
		require.False(t, last || isDrained)
		require.True(t, p.IsBegun())
		p.CloseWrite(nil)
		_, last = p.Take(nil, 1)
		synctest.Wait()
		require.True(t, last && isDrained)
	})
}

// Taken says that the reader has taken a quarter of the room since it last did, or all there was, or has stopped.
func TestTakenTellsOfRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		taken := 0
		var p Pipe
		p.Carry(nil, func() { taken++ })
		next := func() { _, _ = p.Next(nil) }
		p.Put(drawn(quarter * 2))
		require.Equal(t, Room-2*quarter, p.Free())
		next()
		require.Zero(t, taken, "the reader has it in hand")
		next()
		require.Equal(t, 1, taken, "a quarter")
		p.Put([]byte("a"))
		next()
		require.Equal(t, 2, taken, "another")
		go next()
		synctest.Wait()
		require.Equal(t, 3, taken, "it is idle")
		require.Equal(t, Room, p.Free())
		p.Stop(nil)
		require.Equal(t, 4, taken)
		require.Equal(t, ErrStopped, p.Stopped())
	})
}

// A stream that goes on takes no memory anew, and one of a few bytes takes little.
func TestMemoryOfAPipe(t *testing.T) {
	var p Pipe
	item := drawn(1000)
	step := func() {
		for range 40 {
			_ = p.Write(item, nil)
		}
		_, _ = p.Next(nil)
	}
	step()
	step()
	require.Zero(t, testing.AllocsPerRun(1000, step))
	var small Pipe
	_ = small.Write([]byte("ab"), nil)
	b, _ := small.Next(nil)
	require.LessOrEqual(t, cap(b), 64)
}

func BenchmarkPipe16(b *testing.B) {
	var p Pipe
	item := drawn(18)
	go func() {
		for range b.N {
			_ = p.Write(item, nil)
		}
		p.CloseWrite(nil)
	}()
	batches := 0
	for {
		if _, err := p.Next(nil); err != nil {
			break
		}
		batches++
	}
	b.ReportMetric(float64(b.N)/float64(batches), "items/batch")
}

// What is written after CloseWrite is dropped, also the rest of what was being written: the reader has the end.
func TestNothingIsWrittenAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Pipe
		var late error
		go func() { late = p.Write(drawn(Room+1), nil) }()
		synctest.Wait()
		p.CloseWrite(nil)
		require.Equal(t, io.EOF, p.Write([]byte("a"), nil))
		got, err := io.ReadAll(reader{&p})
		require.NoError(t, err)
		require.Len(t, got, Room)
		synctest.Wait()
		require.Equal(t, io.EOF, late)
	})
}

// reader reads a Pipe.
type reader struct{ p *Pipe }

func (r reader) Read(b []byte) (int, error) {
	got, last := r.p.Take(b[:0], len(b))
	if last && len(got) == 0 {
		return 0, io.EOF
	}
	return len(got), nil
}
