package broach

import (
	"bytes"
	"context"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/codec"
	"broach/internal/race"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

// rawAnswer is a result that its provider has encoded in a way of its own.
type rawAnswer []byte

func (r rawAnswer) EncodeMsgpack(e *msgpack.Encoder) error {
	_, err := e.Writer().Write(r)
	return err
}

func addInts(x, y int) int { return x + y }

// [VIEW-4] Whatever a member answers, the node that asked gets an error or a View of a bounded size, and goes on.
func TestAnswersThatAreNoViews(t *testing.T) {
	emptyServices := append([]byte{0x81, 0xa1, 's', 0xdd, 0, 0x20, 0, 0}, bytes.Repeat([]byte{0x80}, 2<<20)...)
	for name, is := range map[string]struct {
		answer any
		code   Code
	}{
		"a text":             {"view", InvalidArgument},
		"a number":           {7, InvalidArgument},
		"a list":             {[]int{1, 2}, InvalidArgument},
		"another type":       {map[string]any{"a": "10.0.0.1:7000", "m": 3}, InvalidArgument},
		"a cut-off address":  {map[string]any{"a": []byte{10}}, InvalidArgument},
		"a negative number":  {map[string]any{"h": -1}, InvalidArgument},
		"a cut-off map":      {rawAnswer{0x83, 0xa1, 'a'}, Internal},
		"bytes of no code":   {rawAnswer{0xc1}, Internal},
		"nothing":            {rawAnswer{}, Internal},
		"a length of 4 GiB":  {rawAnswer{0x81, 0xa1, 'm', 0xdd, 0xff, 0xff, 0xff, 0xff}, Internal},
		"deep nesting":       {rawAnswer(append(bytes.Repeat([]byte{0x91}, 100_000), 0xc0)), Internal},
		"deep in an unknown": {rawAnswer("\x81\xa1?" + strings.Repeat("\x91", 1001) + "\x00"), Internal},
		"much of little":     {rawAnswer(emptyServices), InvalidArgument}, // 72 bytes of memory for each of it
		"9 MiB":              {map[string]any{"n": strings.Repeat("n", 9<<20)}, TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			inPair(t, map[string]any{"add": addInts}, func(c *cluster, provider, caller *Node) {
				_, err := inspectOne(c, provider, caller, func(uint32) any { return is.answer })
				requireError(t, err, is.code, Yes)
				require.Equal(t, provider.Addr().String(), err.(*Error).Node)
				sum, err := Call[int](c.t.Context(), caller.Caller("add"), 1, 2)
				require.NoError(t, err)
				require.Equal(t, 3, sum)
			})
		})
	}
}

// [VIEW-4] What is larger than a View may be is not decoded, and what is not may not be made much of.
func TestAnswersTakeABoundedMemory(t *testing.T) {
	if race.Enabled {
		t.Skip("which allocates as well")
	}
	most := append([]byte{0x81, 0xa1, 's', 0xdd, 0, 0x7f, 0, 0}, bytes.Repeat([]byte{0x80}, 0x7f<<16)...)
	whole := View{Members: slices.Repeat([]MemberView{{Member: Member{Addr: addrOf(1), Name: "shop"}}}, 4096)}
	for name, is := range map[string]struct {
		body  []byte
		bytes uint64
	}{
		"8 MiB of empty services": {append([]byte{1, 1}, most...), viewMemory},
		"4,096 members":           {encodeView(t, whole), 4 << 20},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := codec.DecodeWithin[View](is.body, viewMemory)
		runtime.ReadMemStats(&after)
		require.Equal(t, name == "4,096 members", err == nil, "%s: %v", name, err)
		require.LessOrEqual(t, after.TotalAlloc-before.TotalAlloc, is.bytes, name)
	}
}

// [VIEW-4] Texts may have any bytes.
func TestTextsOfAViewStayAsTheyAre(t *testing.T) {
	const strange = "\x1b[2J\x00<script>\u202e\xff\r\n"
	answer := View{Addr: addrOf(3), Name: strange, Tags: map[string]string{strange: strange},
		Settings: []Setting{{strange, strange, true}}}
	require.Equal(t, answer, answered(t, answer))
}

// [VIEW-2] What one peer asks more than 10 times in a second is answered Overloaded.
func TestOnePeerMayAskSoOften(t *testing.T) {
	inPair(t, map[string]any{"add": addInts}, func(c *cluster, provider, caller *Node) {
		third := c.start(2, 0)
		c.settle(10 * time.Second)
		ask := func(n *Node, times int) (views int) {
			outcomes := make(chan error, times)
			for range times {
				go func() {
					_, err := n.Inspect(c.t.Context(), provider.Addr(), ViewSettings)
					outcomes <- err
				}()
			}
			for range times {
				if err := <-outcomes; err != nil {
					requireError(t, err, Overloaded, No)
					continue
				}
				views++
			}
			return views
		}
		for range 3 {
			require.Equal(t, viewsEach, ask(caller, 10_000))
			require.Equal(t, viewsEach, ask(third, 20), "others have their own")
			sum, err := Call[int](c.t.Context(), caller.Caller("add"), 1, 2)
			require.NoError(t, err)
			require.Equal(t, 3, sum)
			time.Sleep(time.Second)
		}
		require.Equal(t, 2, len(provider.serving.views.asked.count))
		require.Equal(t, 100, ask(provider, 100), "itself, as often as it likes")
	})
}

// [VIEW-2] A view is made apart from calls and membership, one at a time, while 64 more wait. Further ones are answered
// Overloaded, executed no. What the provider does meanwhile is not delayed.
func TestViewsWaitForEachOther(t *testing.T) {
	inPair(t, map[string]any{"add": addInts}, func(c *cluster, provider, caller *Node) {
		c.settle(10 * time.Second)
		goOn, runs := make(chan bool), 0
		answerViews(t, provider, func(uint32) any { runs++; <-goOn; return View{Name: "at last"} })
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		outcomes := make(chan error, 100)
		for i := range 70 {
			if i%viewsEach == 0 {
				time.Sleep(1010 * time.Millisecond)
			}
			go func() {
				_, err := caller.Inspect(ctx, provider.Addr())
				outcomes <- err
			}()
			began := time.Now()
			sum, err := Call[int](ctx, caller.Caller("add"), 1, i)
			require.NoError(t, err)
			require.Equal(t, 1+i, sum)
			require.Less(t, time.Since(began), 10*time.Millisecond)
		}
		time.Sleep(100 * time.Millisecond) // the last is refused
		synctest.Wait()
		require.Len(t, outcomes, 70-1-viewsWaiting)
		for range 70 - 1 - viewsWaiting {
			requireError(t, <-outcomes, Overloaded, No)
		}
		require.Equal(t, 1, runs)
		close(goOn)
		for range 1 + viewsWaiting {
			require.NoError(t, <-outcomes)
		}
		require.Equal(t, 1+viewsWaiting, runs)
	})
}

// Views take a quarter of a processor, however many ask, and none is made for who does not wait any more.
func TestViewsLeaveTheProcessorToOthers(t *testing.T) {
	inPair(t, nil, func(c *cluster, provider, caller *Node) {
		c.settle(10 * time.Second)
		var began []time.Time
		answerViews(t, provider, func(uint32) any {
			began = append(began, time.Now())
			time.Sleep(100 * time.Millisecond) // of work
			return View{}
		})
		ctx, cancel := context.WithTimeout(context.Background(), 1500*time.Millisecond)
		defer cancel()
		outcomes := make(chan error, viewsEach)
		for range viewsEach {
			go func() { _, err := caller.Inspect(ctx, provider.Addr()); outcomes <- err }()
		}
		answered := 0
		for range viewsEach {
			err := <-outcomes
			if err == nil {
				answered++
				continue
			}
			require.ErrorIs(t, err, ErrDeadlineExceeded)
		}
		require.Equal(t, 4, answered, "in 1.5 s")
		time.Sleep(10 * time.Second)
		require.Len(t, began, answered)
		for i := range began[1:] {
			require.Equal(t, (1+viewsRest)*100*time.Millisecond, began[i+1].Sub(began[i]))
		}
	})
}

// A node that is closed while views are made and wait for their turn ends as soon as another.
func TestViewsDoNotHoldUpClose(t *testing.T) {
	inPair(t, nil, func(c *cluster, provider, caller *Node) {
		c.settle(10 * time.Second)
		answerViews(t, provider, func(uint32) any { time.Sleep(700 * time.Millisecond); return View{} })
		outcomes := make(chan error, 3)
		for range 3 {
			go func() { _, err := caller.Inspect(context.Background(), provider.Addr()); outcomes <- err }()
		}
		time.Sleep(time.Second) // one is answered, and the worker rests
		began := time.Now()
		require.NoError(t, provider.Close())
		require.Less(t, time.Since(began), time.Second)
		require.NoError(t, <-outcomes)
		for range 2 {
			require.Error(t, <-outcomes)
		}
	})
}
