package broach

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/codec"
	"broach/internal/member"
	"broach/internal/race"

	"github.com/stretchr/testify/require"
	"github.com/vmihailenco/msgpack/v5"
)

// encodeView is a View as it travels: as a result.
func encodeView(t *testing.T, v any) []byte {
	f, err := planService(viewService, func() any { return v })
	require.NoError(t, err)
	f.Most = maxMessageMost
	b, failed := f.invoke(context.Background(), []byte{0x90}, nil, nil)
	require.Nil(t, failed)
	return b
}

// viewSection is 5.3 of PROTOCOL.md.
func viewSection(t *testing.T) string {
	spec, err := os.ReadFile("PROTOCOL.md")
	require.NoError(t, err)
	_, section, _ := strings.Cut(string(spec), "### 5.3 Views\n")
	section, _, isThere := strings.Cut(section, "\n## 6. ")
	require.True(t, isThere)
	return section
}

// The view of a node at 10.0.0.1:7000 that is asked for its members, knows one, and says nothing else of itself.
func TestTheViewOfTheProtocolIsWhatWeSpeak(t *testing.T) {
	_, example, _ := strings.Cut(viewSection(t), "says nothing else of itself:")
	text := ""
	for _, row := range regexp.MustCompile("(?m)^\\| `([0-9a-f ]+)`").FindAllStringSubmatch(example, -1) {
		text += strings.ReplaceAll(row[1], " ", "")
	}
	want := View{Addr: addrOf(0), Uptime: 1500 * time.Millisecond, Members: []MemberView{{
		Member: Member{Addr: addrOf(1), Name: "shop", State: Suspect, RTT: 90 * time.Microsecond},
		Peer: PeerStats{Addr: addrOf(1), State: Suspect, Since: 200 * time.Millisecond, SuspectedBy: addrOf(0),
			TableVersion: 3, RTT: 90 * time.Microsecond},
	}}}
	b := encodeView(t, want)
	require.Equal(t, text, hex.EncodeToString(b[2:]), "without the number of results, and the kind of it")
	got, err := codec.DecodeWithin[View](b, viewMemory)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// excluded are fields of a View that do not travel, and why.
var excluded = map[string]string{"Stats.Peers": "they stand beside the members"}

// All that a View has comes back as it was, and PROTOCOL.md names the key of each. A new field that has no place there,
// or in excluded, fails.
func TestAllOfAViewTravels(t *testing.T) {
	var want View
	fill(reflect.ValueOf(&want).Elem(), new(int64))
	want.Stats.Peers = nil
	got, err := codec.DecodeWithin[View](encodeView(t, want), viewMemory)
	require.NoError(t, err)
	require.Equal(t, want, got)
	requireKeys(t, viewSection(t), reflect.TypeFor[View]())
}

// fill gives each field a value of its own, none of them zero.
func fill(v reflect.Value, n *int64) {
	*n++
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString(fmt.Sprint("text ", *n))
	case reflect.Int, reflect.Int64:
		v.SetInt(*n)
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n))
	case reflect.Float64:
		v.SetFloat(float64(*n) / 7)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Map:
		key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key, n)
		fill(elem, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(key, elem)
	case reflect.Struct:
		if addr, ok := v.Addr().Interface().(*netip.AddrPort); ok {
			*addr = addrOf(int(*n))
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	default:
		panic(fmt.Sprint("a View has a ", v.Type()))
	}
}

// requireKeys requires that a text names the keys of the fields of a type, and of the structs in it.
func requireKeys(t *testing.T, text string, of reflect.Type) {
	for of.Kind() == reflect.Slice || of.Kind() == reflect.Map {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct || of == reflect.TypeFor[netip.AddrPort]() {
		return
	}
	for _, f := range codec.MembersOf(of) {
		require.Contains(t, text, "`"+f.Name+"`", "PROTOCOL.md 5.3 does not say how %v has its %s", of, f.Name)
		if excluded[of.Name()+"."+f.Name] == "" {
			requireKeys(t, text, f.Type)
		}
	}
}

// [VIEW-5] The bits are a sum
func TestMarksOfAMemberInBrief(t *testing.T) {
	inPair(t, nil, func(_ *cluster, n, _ *Node) {
		is := member.View{Facts: member.Facts{State: member.Left, Unreachable: true}}
		is.Addr = addrOf(7)
		for range 3 {
			is.Unreachable, is.Unsteady, is.Draining = is.Draining, is.Unreachable, is.Unsteady
			v := answeredView{Brief: n.belief(&is).Append(nil)}
			require.NoError(t, v.expand())
			require.Equal(t, n.member(&is), v.Members[0].Member)
		}
	})
}

// Views of a version before this one, and of one after it.
type (
	olderView struct {
		Addr    netip.AddrPort `msgpack:"a"`
		Members []olderMember  `msgpack:"m"`
		Stats   struct{ DatagramsIn, Isolated any }
	}
	olderMember struct {
		Addr netip.AddrPort `msgpack:"a"`
	}
	newerView struct {
		View
		Members  []newerMember  `msgpack:"m"`
		Stats    newerStats     `msgpack:"x"`
		Topology map[string]any `msgpack:"zz"`
	}
	newerMember struct {
		MemberView
		Places [][]float64 `msgpack:"pl"`
	}
	newerStats struct {
		Stats
		Visitors int
	}
)

// [VIEW-1] Who does not know a key in it ignores that; what is not said is false, empty or zero.
func TestViewsOfOtherVersions(t *testing.T) {
	newer := newerView{
		View: View{Addr: addrOf(0), Name: "shop", Uptime: time.Hour, Settings: []Setting{{"Name", "shop", false}}},
		Members: []newerMember{{
			MemberView{Member: Member{Addr: addrOf(1), State: 7}, Peer: PeerStats{Addr: addrOf(1)}},
			[][]float64{{1, 2}},
		}},
		Stats:    newerStats{Stats: Stats{DatagramsIn: 9, Isolated: true}, Visitors: 3},
		Topology: map[string]any{"rack": []any{1, "two", nil}},
	}
	want := newer.View
	want.Members = []MemberView{newer.Members[0].MemberView}
	want.Stats = newer.Stats.Stats
	require.Equal(t, want, answered(t, newer, ViewMembers, ViewSettings))
	require.Equal(t, "unknown", want.Members[0].State.String())

	older := olderView{Addr: addrOf(0), Members: []olderMember{{addrOf(1)}}}
	want = View{Addr: addrOf(0), Members: []MemberView{{Member: Member{Addr: addrOf(1)}}}}
	require.Equal(t, want, answered(t, older))

	old, err := codec.DecodeAs[olderView](encodeView(t, newer))
	require.NoError(t, err)
	require.Equal(t, []olderMember{{addrOf(1)}}, old.Members)
}

// answered is what Inspect makes of an answer.
func answered(t *testing.T, answer any, want ...ViewPart) (v View) {
	inPair(t, nil, func(c *cluster, provider, caller *Node) {
		var err error
		v, err = inspectOne(c, provider, caller, func(uint32) any { return answer }, want...)
		require.NoError(t, err)
	})
	return v
}

// inspectOne inspects a provider that answers in its own way.
func inspectOne(c *cluster, provider, caller *Node, answer func(uint32) any, want ...ViewPart) (View, error) {
	c.settle(10 * time.Second)
	answerViews(c.t, provider, answer)
	return caller.Inspect(c.t.Context(), provider.Addr(), want...)
}

// answerViews has a node answer Inspect in another way.
func answerViews(t *testing.T, n *Node, answer func(parts uint32) any) {
	f, err := planService(viewService, answer)
	require.NoError(t, err)
	f.Most = maxMessageMost
	synctest.Wait() // nobody reads it
	n.serving.views.function = f
}

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
		"beliefs cut off":    {map[string]any{"q": []byte{0, 4, 10}}, Internal},
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
		require.Len(t, outcomes, 70-1-viewsWaiting, "there: %+v", provider.serving.views.pool.Stats())
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
