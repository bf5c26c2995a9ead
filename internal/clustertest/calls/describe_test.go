package calls

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"broach"
	"broach/internal/clustertest"

	"github.com/stretchr/testify/require"
)

type (
	leaf struct {
		At   time.Time     `msgpack:"at"`
		Wait time.Duration `msgpack:"wait,omitempty"`
	}
	tree struct {
		Left, Right *tree
		Leaves      map[string][]leaf
		Sum         [4]uint16
		Raw         []byte
		hidden      int
	}
	celsius float32
)

func grow(ctx context.Context, t tree, degrees celsius, more ...any) (*tree, string, error) {
	return &t, fmt.Sprint(degrees, len(more), t.hidden), nil
}

// [TAB-10] The description that a provider gives is the same to a peer and to itself.
func TestDescribe(t *testing.T) {
	leaves := broach.Type{Kind: "struct", Name: "calls.leaf", Fields: []broach.Field{
		{Name: "at", Type: broach.Type{Kind: "time", Name: "time.Time"}},
		{Name: "wait", Type: broach.Type{Kind: "duration", Name: "time.Duration"}, Optional: true},
	}}
	ref := &broach.Type{Kind: "ref", Name: "calls.tree"}
	whole := broach.Type{Kind: "struct", Name: "calls.tree", Fields: []broach.Field{
		{Name: "Left", Type: broach.Type{Kind: "pointer", Elem: ref}},
		{Name: "Right", Type: broach.Type{Kind: "pointer", Elem: ref}},
		{Name: "Leaves", Type: broach.Type{Kind: "map",
			Key:  &broach.Type{Kind: "string", Name: "string"},
			Elem: &broach.Type{Kind: "slice", Elem: &leaves}}},
		{Name: "Sum", Type: broach.Type{Kind: "array", Len: 4,
			Elem: &broach.Type{Kind: "uint16", Name: "uint16"}}},
		{Name: "Raw", Type: broach.Type{Kind: "bytes"}},
	}}
	anything := &broach.Type{Kind: "any", Name: "any"}
	want := broach.Description{
		Name: "grow", Signature: "grow(calls.tree, calls.celsius, ...any) (*calls.tree, string)",
		Doc: "grow(tree, degrees, more...) says how", Variadic: true, Idempotent: true,
		Params: []broach.Field{{Name: "tree", Type: whole},
			{Name: "degrees", Type: broach.Type{Kind: "float32", Name: "calls.celsius"}},
			{Name: "more", Type: broach.Type{Kind: "slice", Elem: anything}}},
		Results: []broach.Type{{Kind: "pointer", Elem: ref}, {Kind: "string", Name: "string"}},
	}
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.StartAll(2)
		require.NoError(t, c.Nodes[0].Register("grow", grow, broach.Idempotent(), broach.Doc(want.Doc)))
		require.NoError(t, c.Nodes[1].WaitFor(context.Background(), "grow", 1))
		for _, n := range c.Nodes {
			got, err := n.Describe(context.Background(), "grow")
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	})
}

func TestDescribeNamesParametersByTheDoc(t *testing.T) {
	for doc, want := range map[string][]string{
		"":                                    {"", ""},
		"add(x, y) adds":                      {"x", "y"},
		"add(x int, y ...int) int":            {"x", "y"},
		"calc.Add( größe ,y... )":             {"größe", "y"},
		"add(x) adds":                         {"", ""},
		"add(x, y, z) adds":                   {"", ""},
		"adds two (x, y)":                     {"", ""},
		"(x, y)":                              {"", ""},
		"add(x, ) adds":                       {"", ""},
		"add(x, y":                            {"", ""},
		"add(<script>, y) adds":               {"", ""},
		"add(\"x\", y) adds":                  {"", ""},
		"add(f(x), y) calls f with x, adds y": {"", ""},
	} {
		clustertest.Run(t, 1, func(c *clustertest.Cluster) {
			n := c.Start(0)
			require.NoError(t, n.Register("add", func(x, y int) int { return x + y }, broach.Doc(doc)))
			d, err := n.Describe(context.Background(), "add")
			require.NoError(t, err)
			require.Equal(t, want, []string{d.Params[0].Name, d.Params[1].Name}, doc)
		})
	}
}

// A description is asked for once, and again when the provider offers something else or is another process.
func TestDescriptionsAreKept(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.StartAll(2)
		provider, caller := c.Nodes[0], c.Nodes[1]
		signature := func() string {
			before := caller.Stats().DatagramsOut
			require.NoError(t, caller.WaitFor(context.Background(), "f", 1))
			d, err := caller.Describe(context.Background(), "f")
			require.NoError(t, err)
			return fmt.Sprint(d.Signature, ", asked ", caller.Stats().DatagramsOut > before)
		}
		require.NoError(t, provider.Register("f", func(int) {}))
		require.Equal(t, "f(int), asked true", signature())
		require.Equal(t, "f(int), asked false", signature())
		require.NoError(t, provider.Unregister("f"))
		require.NoError(t, provider.Register("f", func(string) {}))
		time.Sleep(time.Second)
		require.Equal(t, "f(string), asked true", signature())
		c.Kill(provider)
		again := c.Start(0, 1)
		require.NoError(t, again.Register("f", func(bool) {}))
		time.Sleep(3 * time.Second)
		require.Equal(t, "f(bool), asked true", signature())
	})
}

// Whoever cannot be asked is passed over, and what cannot be had is an error with its reason.
func TestDescribeFails(t *testing.T) {
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		c.StartAll(3)
		first, second, caller := c.Nodes[0], c.Nodes[1], c.Nodes[2]
		describe := func(name string) error { _, err := caller.Describe(context.Background(), name); return err }
		clustertest.RequireError(t, describe("nobody"), broach.NotFound, broach.No)
		clustertest.RequireError(t, describe("\x00table"), broach.NotFound, broach.No)
		clustertest.RequireError(t, describe("__private"), broach.NotFound, broach.No)
		require.NoError(t, first.Register("__private", func() {}))
		for _, n := range []*broach.Node{first, second} {
			require.NoError(t, n.Register("f", func(int) {}))
		}
		require.NoError(t, caller.WaitFor(context.Background(), "f", 2))
		_, err := first.Describe(context.Background(), "__private")
		require.NoError(t, err, "it is this process that asks")
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, err = caller.Describe(ctx, "f")
		clustertest.RequireError(t, err, broach.Canceled, broach.No)
		require.NoError(t, first.Register("wide", func(broad) {}))
		require.NoError(t, caller.WaitFor(context.Background(), "wide", 1))
		clustertest.RequireError(t, describe("wide"), broach.TooLarge, broach.Yes)
		c.Kill(first)
		require.NoError(t, describe("f"), "the other says it")
		require.NoError(t, caller.Close())
		clustertest.RequireError(t, describe("f"), broach.Closed, broach.No)
	})
}

// A broad struct is one that cannot be described within 64 KiB.
type broad struct {
	A, B, C, D, E, F, G, H [1]struct {
		I, J, K, L, M, N, O, P [1]struct {
			Q, R, S, T, U, V, W, X [1]struct {
				A, B, C, D, E, F, G, H map[string]map[string]map[string][]string
			}
		}
	}
}

// Types that lead to each other do not make a description grow beyond measure.
func TestADescriptionSaysEachTypeOnce(t *testing.T) {
	type (
		a struct{ X, Y []int }
		b struct{ X, Y a }
		d struct{ X, Y b }
		e struct{ X, Y d }
		f struct{ X, Y e }
	)
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		n := c.Start(0)
		require.NoError(t, n.Register("f", func(f, f) {}))
		got, err := n.Describe(context.Background(), "f")
		require.NoError(t, err)
		require.Equal(t, 5, strings.Count(fmt.Sprintf("%+v %+v", got.Params[0].Type.Fields, got.Params[1]), "Kind:ref"),
			"the second field of each struct but the innermost, and the second parameter")
	})
}

// A pointer type of its own name may lead to itself, too.
func TestADescriptionOfAPointerToItselfEnds(t *testing.T) {
	type link *struct{ Next link }
	clustertest.Run(t, 1, func(c *clustertest.Cluster) {
		n := c.Start(0)
		require.NoError(t, n.Register("f", func(link) {}))
		d, err := n.Describe(context.Background(), "f")
		require.NoError(t, err)
		require.Equal(t, broach.Type{Kind: "ref", Name: "calls.link"}, d.Params[0].Type.Elem.Fields[0].Type)
		_, err = broach.Call[struct{}](context.Background(), n.Caller("f", broach.Strict()), link(nil))
		require.NoError(t, err)
	})
}
