package broach

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"broach/internal/codec"

	"github.com/stretchr/testify/require"
)

// encodeView is a View as it travels: as a result.
func encodeView(t *testing.T, v any) []byte {
	f, err := planService(viewService, func() any { return v })
	require.NoError(t, err)
	f.Most = maxMessageMost
	b, failed := f.invoke(context.Background(), []byte{0x90}, nil)
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

// unshown are fields of a Config that are no Settings, and why.
var unshown = map[string]string{
	"Keys": "secret", "RandSeed": "of use to simulations alone", "Tags": "a View has them",
	"Logger": "code", "Conn": "code", "Tracer": "code", "CallInterceptors": "code", "ServeInterceptors": "code",
}

// Each field of a Config is shown, or is not for a reason.
func TestSettingsAreAllOfAConfig(t *testing.T) {
	shown := map[string]bool{}
	for _, s := range (Config{}).settings(21829) {
		require.False(t, shown[s.Key], "%s stands twice", s.Key)
		require.True(t, s.Default, "%s", s.Key)
		shown[s.Key] = true
	}
	var look func(of reflect.Type, prefix string)
	look = func(of reflect.Type, prefix string) {
		for i := range of.NumField() {
			switch f := of.Field(i); {
			case !f.IsExported():
			case f.Type.Kind() == reflect.Struct:
				look(f.Type, f.Name+".")
			case unshown[prefix+f.Name] == "":
				require.True(t, shown[prefix+f.Name], "%s%s is no setting, and not in unshown", prefix, f.Name)
				delete(shown, prefix+f.Name)
			}
		}
	}
	look(reflect.TypeFor[Config](), "")
	require.Empty(t, shown)
}

// A Setting is what holds, set or not.
func TestSettingsSayWhatHolds(t *testing.T) {
	c := Config{Name: "shop", CallTimeout: 6 * time.Second, Join: []string{"a.example:1", "10.0.0.7:2"},
		Pool: Pool{Max: 7, RejectWhenFull: true}, Heartbeat: Heartbeat{Grace: time.Second}, Silent: true}
	got := map[string]Setting{}
	for _, s := range c.settings(21829) {
		got[s.Key] = s
	}
	for _, want := range []Setting{
		{"Name", "shop", false}, {"Version", "", true}, {"Addr", "127.0.0.1:0", true}, {"Cluster", "default", true},
		{"CallTimeout", "6s", false}, {"AckTimeout", "3s", true}, {"Join", "a.example:1 10.0.0.7:2", false},
		{"Pool.Max", "7", false}, {"Pool.Queue", "65536", true}, {"Pool.RejectWhenFull", "true", false},
		{"Heartbeat.Grace", "1s", false}, {"Heartbeat.Tick", "30ms", true}, {"MaxPacket", "21829", true},
		{"MaxMessage", "67108864", true}, {"LogLevel", "info", true}, {"Silent", "true", false},
	} {
		require.Equal(t, want, got[want.Key])
	}
}
