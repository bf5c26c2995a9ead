package broach

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"broach/internal/function"
	"broach/internal/member"
	"broach/internal/skew"
	"broach/internal/wire"

	"github.com/stretchr/testify/require"
)

type skewMine struct{ A, B int }
type skewTheirs struct{ A int }

// withDescriber runs a test on a caller and a provider that answers questions about its functions in a way of its own.
func withDescriber(
	t *testing.T, describes *service,
	test func(c *cluster, provider, caller *Node, ran *atomic.Int64, log *bytes.Buffer),
) {
	inCluster(t, 1, func(c *cluster) {
		var log bytes.Buffer
		var ran atomic.Int64
		provider := c.start(0)
		c.edit = func(cfg *Config) { cfg.Logger = slog.New(slog.NewTextHandler(&log, nil)) }
		caller := c.start(1, 0)
		require.NoError(t, caller.WaitJoined(context.Background()))
		provider.serving.describes = describes
		require.NoError(t, provider.Register("place", func(skewTheirs) { ran.Add(1) }))
		require.NoError(t, caller.WaitFor(context.Background(), "place", 1))
		test(c, provider, caller, &ran, &log)
	})
}

// answering is what says the same of every function, and counts how often.
func answering(asked *atomic.Int64, answer func(dst []byte) ([]byte, error)) *service {
	return &service{name: "describe", Func: function.Raw("describe", func(dst []byte) ([]byte, error) {
		asked.Add(1)
		return answer(dst)
	})}
}

// "What when the provider cannot describe": a Strict call fails before the function runs, every other is made. A
// provider that will never say is asked once; whoever says nonsense is one of these.
func TestProvidersThatCannotDescribe(t *testing.T) {
	for name, answer := range map[string]func(dst []byte) ([]byte, error){
		"is older":      func([]byte) ([]byte, error) { return nil, failure(NotFound, No, "no such function") },
		"says nothing":  func(dst []byte) ([]byte, error) { return dst, nil },
		"says a number": func(dst []byte) ([]byte, error) { return append(dst, 1, 1, 5), nil },
		"says too much": func(dst []byte) ([]byte, error) {
			return append(append(dst, 1, 1, 0xc5, 0xff, 0xff), make([]byte, 65535)...), nil
		},
		"says far too much": func(dst []byte) ([]byte, error) {
			return append(append(dst, 1, 1, 0xc6, 0, 0x10, 0, 0), make([]byte, 1<<20)...), nil
		},
		"has one that is larger": func([]byte) ([]byte, error) {
			return nil, failure(TooLarge, Yes, "the results have more")
		},
	} {
		var asked atomic.Int64
		describer := answering(&asked, answer)
		withDescriber(t, describer, func(_ *cluster, provider, caller *Node, ran *atomic.Int64, log *bytes.Buffer) {
			place := caller.Caller("place")
			for range 10 {
				_, err := Call[struct{}](context.Background(), place, skewMine{})
				require.NoError(t, err, name)
				time.Sleep(time.Second)
			}
			require.Equal(t, int64(1), asked.Load(), name)
			require.Equal(t, int64(10), ran.Load(), name)
			for range 3 {
				_, err := Call[struct{}](context.Background(), place.With(Strict()), skewMine{})
				require.ErrorIs(t, err, ErrUnavailable, name)
				require.ErrorContains(t, err, "Strict, and the provider cannot say which fields its structs have", name)
				require.ErrorContains(t, err, "(executed: no)", name)
				require.Less(t, len(err.Error()), 500, name)
			}
			require.Equal(t, int64(10), ran.Load(), name)
			require.Equal(t, int64(1), asked.Load(), name)
			require.NotContains(t, log.String(), "same fields", name)
			process := wire.Process{Addr: provider.Addr(), Boot: provider.linking.wires.Process.Boot}
			by := caller.calling.view.Load().editionOf(process)
			require.NotZero(t, by)
			kept, _ := caller.calling.described.Get("place", by)
			require.LessOrEqual(t, len(kept), describedSize+describedHead, name)
		})
	}
}

// Many Strict calls at once ask once, and none is made before that is answered.
func TestManyStrictCallsAskOnce(t *testing.T) {
	var asked atomic.Int64
	slow := answering(&asked, func(dst []byte) ([]byte, error) {
		time.Sleep(300 * time.Millisecond)
		return append(dst, 1, 1, 0x80), nil // a description that says nothing has no other fields
	})
	withDescriber(t, slow, func(_ *cluster, _, caller *Node, ran *atomic.Int64, _ *bytes.Buffer) {
		var all []*Future[struct{}]
		for range 100 {
			all = append(all, Go[struct{}](context.Background(), caller.Caller("place", Strict()), skewMine{}))
		}
		started := time.Now()
		_, err := Call[struct{}](context.Background(), caller.Caller("place"), skewMine{})
		require.NoError(t, err)
		require.Less(t, time.Since(started), 100*time.Millisecond, "without Strict nothing waits")
		require.Equal(t, int64(1), ran.Load())
		for _, f := range all {
			_, err := f.Wait()
			require.NoError(t, err)
		}
		require.GreaterOrEqual(t, time.Since(started), 300*time.Millisecond)
		require.Equal(t, int64(1), asked.Load())
		require.Equal(t, int64(101), ran.Load())
	})
}

// The limits of comparisons: what has no room among the Uses is still compared, if Strict; lines that are remembered.
func TestComparisonsAreBounded(t *testing.T) {
	var asked atomic.Int64
	silent := answering(&asked, func(dst []byte) ([]byte, error) { return append(dst, 1, 1, 0x80), nil })
	withDescriber(t, silent, func(_ *cluster, provider, caller *Node, _ *atomic.Int64, _ *bytes.Buffer) {
		s := &caller.calling.skews
		types := []any{}
		for _, x := range []any{skewMine{}, &skewMine{}, []skewMine{}, [1]skewMine{}, map[string]skewMine{}} {
			for _, y := range []any{1, "", true, 1.5} {
				types = append(types, []any{x, y})
			}
		}
		for _, pair := range types {
			_, _ = Call[struct{}](context.Background(), caller.Caller("place"), pair.([]any)...)
			_, err := Call[struct{}](context.Background(), caller.Caller("place", Strict()), pair.([]any)...)
			require.Error(t, err, "two arguments")
		}
		place, out := caller.Caller("place"), outCall{results: shapeOf(reflect.TypeFor[skewMine]()).alone}
		require.Nil(t, place.useOf(&out), "there are too many")
		require.NotNil(t, place.With(Strict()).useOf(&out))
		require.NotNil(t, caller.Caller("another").useOf(&out))
		for i := range skewTold + 100 {
			time.Sleep(time.Second)
			caller.tellSkew("place", "", fmt.Sprint(i))
			require.LessOrEqual(t, len(s.told), skewTold)
		}
	})
}

// A verdict is remembered on as many providers as a cluster can have.
func TestAllProvidersAreRemembered(t *testing.T) {
	require.EqualValues(t, member.PeersMax, skew.ProvidersMost)
}

// Questions wait in a queue that has an end, are asked ten a second, and end with the node.
func TestQuestionsWaitTheirTurn(t *testing.T) {
	var asked atomic.Int64
	silent := answering(&asked, func(dst []byte) ([]byte, error) { return append(dst, 1, 1, 0x80), nil })
	withDescriber(t, silent, func(_ *cluster, provider, caller *Node, _ *atomic.Int64, _ *bytes.Buffer) {
		const functions = skewQuestions + 100
		for i := range functions {
			require.NoError(t, provider.Register(fmt.Sprint("f", i), func(skewTheirs) {}))
		}
		require.NoError(t, caller.WaitFor(context.Background(), fmt.Sprint("f", functions-1), 1))
		time.Sleep(time.Second)
		round := func() {
			for i := range functions {
				_, err := Call[struct{}](context.Background(), caller.Caller(fmt.Sprint("f", i)), skewMine{})
				require.NoError(t, err)
			}
		}
		started := time.Now()
		round()
		require.Less(t, time.Since(started), time.Second, "no call waits")
		caller.calling.skews.mu.Lock()
		require.LessOrEqual(t, len(caller.calling.skews.queue), skewQuestions)
		caller.calling.skews.mu.Unlock()
		time.Sleep(10 * time.Second)
		require.InDelta(t, 10*10, asked.Load(), 15)
		round()
		time.Sleep(functions * skewPause)
		require.Equal(t, int64(functions), asked.Load())
		for i := range functions {
			_, _ = Call[skewMine](context.Background(), caller.Caller(fmt.Sprint("f", i)), skewMine{})
		}
		started = time.Now()
		require.NoError(t, caller.Close())
		require.Less(t, time.Since(started), time.Second)
	})
}

// Whoever shows a Description follows it without a look at each step.
func TestADescriptionThatLeavesOutInnerTypes(t *testing.T) {
	says := ownService("describe", func(string) Description {
		return Description{Params: []Field{{Type: Type{Kind: "slice"}}, {Type: Type{Kind: "struct", Fields: []Field{
			{Name: "a", Type: Type{Kind: "pointer", Elem: &Type{Kind: "map"}}},
		}}}}, Results: []Type{{Kind: "array"}, {Kind: "int"}}}
	})
	withDescriber(t, says, func(_ *cluster, _, caller *Node, _ *atomic.Int64, _ *bytes.Buffer) {
		d, err := caller.Describe(context.Background(), "place")
		require.NoError(t, err)
		whatever := &Type{Kind: "any"}
		require.Equal(t, whatever, d.Params[0].Type.Elem)
		inner := d.Params[1].Type.Fields[0].Type.Elem
		require.Equal(t, &Type{Kind: "map", Key: whatever, Elem: whatever}, inner)
		require.Equal(t, []Type{{Kind: "array", Elem: whatever}, {Kind: "int"}}, d.Results)
	})
}

// type P *Q and type Q *P are no types of functions here, but a peer may say so.
func TestADescriptionOfEndlessPointers(t *testing.T) {
	ref := func(name string) *Type { return &Type{Kind: "ref", Name: name} }
	says := ownService("describe", func(string) Description {
		return Description{Params: []Field{
			{Type: Type{Kind: "pointer", Name: "P", Elem: ref("Q")}},
			{Type: Type{Kind: "pointer", Name: "Q", Elem: ref("P")}},
			{Type: Type{Kind: "pointer", Name: "R", Elem: &Type{Kind: "int"}}}, {Type: *ref("R")},
		}}
	})
	withDescriber(t, says, func(_ *cluster, _, caller *Node, _ *atomic.Int64, _ *bytes.Buffer) {
		d, err := caller.Describe(context.Background(), "place")
		require.NoError(t, err)
		require.Contains(t, []string{d.Params[0].Type.Elem.Kind, d.Params[1].Type.Elem.Kind}, "any")
		require.Equal(t, *ref("R"), d.Params[3].Type)
	})
}
