package calls

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

// stock is a service: its exported methods are offered.
type stock struct {
	counted
	mu    sync.Mutex
	items map[string]int
}

type counted struct{ calls int }

func (c *counted) Calls() int { return c.calls }

func (s *stock) Add(ctx context.Context, item string, n int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if n < 0 {
		return 0, errors.New("less than none")
	}
	s.items[item] += n
	return s.items[item], nil
}

func (s *stock) Split(n int) (half, rest int) { return n / 2, n - n/2 }
func (s *stock) hidden()                      {}

// stockClient is what calls it.
type stockClient struct {
	Add func(ctx context.Context, item string, n int) (int, error)
	statistics
	Halves func(n int) (half, rest int, err error) `broach:"Split"`

	Later  func() `broach:"-"`
	Name   string
	inside func()
}

type statistics struct{ Calls func() (int, error) }

func TestAValueIsAServiceAndAStructItsClient(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		s := &stock{items: map[string]int{}}
		s.hidden()
		require.NoError(t, provider.RegisterAll("stock", s, broach.Doc("of the shop")))
		require.NoError(t, caller.WaitFor(context.Background(), "stock.Split", 1))
		var names []string
		for _, f := range caller.Services() {
			require.Equal(t, "of the shop", f.Doc)
			names = append(names, f.Signature)
		}
		require.Equal(t, []string{"stock.Add(string, int) int", "stock.Calls() int", "stock.Split(int) (int, int)"},
			names)
		for i, n := range []*broach.Node{provider, caller} {
			client := stockClient{Name: "kept"}
			broach.BindAll(n, "stock", &client)
			sum, err := client.Add(context.Background(), "milk", 2)
			require.NoError(t, err)
			require.Equal(t, 2*(i+1), sum)
			_, err = client.Add(context.Background(), "milk", -1)
			clustertest.RequireError(t, err, broach.Application, broach.Yes)
			half, rest, err := client.Halves(7)
			require.NoError(t, err)
			require.Equal(t, []int{3, 4}, []int{half, rest})
			calls, err := client.Calls()
			require.NoError(t, err)
			require.Equal(t, 2*(i+1), calls, "that of an embedded type")
			require.True(t, client.Later == nil && client.inside == nil && client.Name == "kept")
		}

		require.NoError(t, provider.Register("stock.more", func() {}))
		require.NoError(t, provider.Unregister("stock.Calls"))
		require.NoError(t, provider.UnregisterAll("stock"))
		require.Len(t, provider.Services(), 1, "what was registered by itself is still there")
		require.ErrorIs(t, provider.UnregisterAll("stock"), broach.ErrNotFound)
		require.NoError(t, provider.RegisterAll("stock", s))
	})
}

type (
	odd     struct{}
	locked  struct{ sync.Mutex }
	byValue struct{}
	mixed   struct{}
)

func (odd) Good() int               { return 1 }
func (odd) Notify(chan int)         {}
func (odd) Watch() (complex64, int) { return 0, 0 }
func (byValue) Get() int            { return 7 }
func (mixed) Get() int              { return 7 }
func (*mixed) Set(int)              {}

// All or nothing: on a mistake none is registered, and all mistakes are said.
func TestAServiceIsOfferedAsAWholeOrNotAtAll(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider, _ *broach.Node) {
		var none *stock
		for _, wrong := range []struct {
			name    string
			methods any
			says    []string
		}{
			{"odd", odd{}, []string{"odd.Notify: parameter 1: chan int cannot be sent",
				"odd.Watch: result 1: complex64"}},
			{"none", none, []string{"the *calls.stock is nil"}},
			{"none", nil, []string{"is nil"}},
			{"bare", struct{}{}, []string{"has no exported methods"}},
			{"bare", new(int), []string{"*int has no exported methods"}},
			{"locked", &locked{}, []string{"*calls.locked has Lock and Unlock"}},
			{"mixed", mixed{}, []string{"give a *calls.mixed"}},
			{"stock", stock{}, []string{"give a *calls.stock"}},
			{"", byValue{}, []string{"the service name is empty"}},
			{strings.Repeat("x", 198), byValue{}, []string{"202 bytes, at most 200"}},
		} {
			err := provider.RegisterAll(wrong.name, wrong.methods)
			require.ErrorIs(t, err, broach.ErrInvalidArgument, "%T", wrong.methods)
			for _, says := range wrong.says {
				require.ErrorContains(t, err, says)
			}
			require.Empty(t, provider.Services(), "%T", wrong.methods)
		}
		err := provider.RegisterAll("stock", &stock{}, broach.Weight(0))
		require.ErrorContains(t, err, "register stock.Add: the Weight")
		for _, name := range []string{"stock.Calls", "stock.Split"} {
			require.NoError(t, provider.Register(name, func() {}))
		}
		err = provider.RegisterAll("stock", &stock{})
		require.ErrorContains(t, err, "register stock.Calls: the name is taken\n"+
			"register stock.Split: the name is taken")
		require.Len(t, provider.Services(), 2)
		require.NoError(t, provider.RegisterAll("value", byValue{}))
		require.NoError(t, provider.RegisterAll("mixed", &mixed{}))
		v, err := broach.Call[int](context.Background(), provider.Caller("value.Get"))
		require.NoError(t, err)
		require.Equal(t, 7, v)
	})
}

// A table that has no room for all methods gets none.
func TestAServiceThatFindsNoRoom(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider, _ *broach.Node) {
		for i := range 9_999 {
			require.NoError(t, provider.Register(fmt.Sprint("f", i), func() {}))
		}
		require.ErrorIs(t, provider.RegisterAll("stock", &stock{}), broach.ErrTooLarge)
		require.Len(t, provider.Services(), 9_999)
		require.NoError(t, provider.RegisterAll("value", byValue{}), "there is room for one")
	})
}

func TestClientsThatCannotBeBound(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for want, client := range map[string]any{
			"calls.stockClient is not a pointer to a struct":        stockClient{},
			"*int is not a pointer to a struct":                     new(int),
			"<nil> is not a pointer to a struct":                    nil,
			"struct { Name string } has no exported func fields":    &struct{ Name string }{},
			"field Add: func(int) int is not a function type whose": &struct{ Add func(int) int }{},
			"field Add: func() is not a function type whose last result is error, or whose only one streams\n" +
				"field Sub: func() is not a": &struct {
				Add, Sub func()
			}{},
			"field add has a name and is no exported func field": &struct {
				add func() error `broach:"Add"`
			}{},
			"field Add has a name and is no exported func field": &struct {
				Add int `broach:"Add"`
			}{},
			"*calls.stockClient is not a pointer to a struct, or is": (*stockClient)(nil),
		} {
			func() {
				defer func() { require.Contains(t, recover(), `broach: BindAll("stock"): `+want) }()
				broach.BindAll(caller, "stock", client)
			}()
		}
	})
}

func work00() int { return 0 }

func generic[T any]() {}

func TestAFunctionIsRegisteredUnderItsOwnName(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		require.NoError(t, broach.RegisterFunc(provider, work00, broach.Doc("the first")))
		require.NoError(t, broach.RegisterFunc(provider, (&stock{items: map[string]int{}}).Add))
		require.NoError(t, broach.RegisterFunc(provider, byValue{}.Get))
		require.NoError(t, broach.RegisterFunc(provider, strings.ToUpper))
		var names []string
		for _, f := range provider.Services() {
			names = append(names, f.Name)
		}
		require.Equal(t, []string{"Add", "Get", "ToUpper", "work00"}, names)
		add := broach.Bind[func(string, int) (int, error)](provider, "Add")
		for _, wrong := range []any{func() {}, generic[int], add, nil, 7, (func())(nil)} {
			err := broach.RegisterFunc(provider, wrong)
			require.ErrorIs(t, err, broach.ErrInvalidArgument, "%T", wrong)
			require.ErrorContains(t, err, "; Register takes one")
		}
		require.ErrorContains(t, broach.RegisterFunc(provider, work00), "register work00: the name is taken")
	})
}

func TestAMethodWithoutItsReceiverIsRefused(t *testing.T) {
	clustertest.InPair(t, nil, func(c *clustertest.Cluster, provider, caller *broach.Node) {
		for expr, fn := range map[string]any{"(*stock).Add": (*stock).Add, "byValue.Get": byValue.Get} {
			_, method, _ := strings.Cut(expr, ".")
			want := expr + " is a method without its receiver: give that of a value, as in v." + method
			_, err := provider.Subscribe("sold", fn)
			for _, err := range []error{
				provider.Register("f", fn), broach.RegisterFunc(provider, fn), err,
			} {
				require.ErrorIs(t, err, broach.ErrInvalidArgument)
				require.ErrorContains(t, err, want)
			}
		}
		require.NoError(t, provider.Register("f", func(v byValue) int { return v.Get() }))
	})
}
