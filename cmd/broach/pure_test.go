package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"broach"
)

// Names and tags are strangers' words: nothing of them may act on a terminal.
func TestNothingHostileIsPrintedAsItIs(t *testing.T) {
	for hostile, shown := range map[string]string{
		"\x1b[31m": `\x1b[31m`, "a\u009bm": `a\u009bm`, "\u202egpj": `\u202egpj`, "\x7f": `\x7f`,
		"bad\xffutf8": `bad\xffutf8`, "line\nfeed": `line\nfeed`, "\u2028": `\u2028`, "商店 é": "商店 é",
		"\U000e0041": `\U000e0041`,
	} {
		require.Equal(t, shown, clean(hostile))
	}
}

func TestJSONHasEscapesForWhatIsHostile(t *testing.T) {
	for _, s := range []string{"\x1b[31m", "\u009b", "\u202e", "\x7f", "\U000e0041", "商店", "a\nb"} {
		text, err := marshal(map[string]string{s: s})
		require.NoError(t, err)
		for _, r := range text {
			require.False(t, isHostile(r), "%q", text)
		}
		var back map[string]string
		require.NoError(t, json.Unmarshal([]byte(text), &back))
		require.Equal(t, map[string]string{s: s}, back)
	}
}

func TestATableCountsCells(t *testing.T) {
	golden := func(width int, want string) {
		table := table{columns: columnsOf("NAME", "*MORE", "DOC"), width: width, rows: [][]string{
			{"商店", "x", "a long text about the shop"}, {"b", "y", "alive"},
		}}
		require.Equal(t, want, table.String())
	}
	golden(0, "NAME  DOC\n商店  a long text about the shop\nb     alive\n")
	golden(20, "NAME  DOC\n商店  a long text a…\nb     alive\n")
	golden(3, "NAME  DOC\n商店  a long …\nb     alive\n")
}

func TestColoursStandBesideWords(t *testing.T) {
	table := table{columns: columnsOf("STATE", "N"), hasColor: true, rows: [][]string{{"alive unreachable", "1"}}}
	require.Equal(t, "STATE              N\n\x1b[31malive unreachable\x1b[0m  1\n", table.String())
}

func TestIntegersAreExactOrRefused(t *testing.T) {
	for literal, want := range map[string]any{
		"1": int64(1), "-9223372036854775808": int64(math.MinInt64), "18446744073709551615": uint64(math.MaxUint64),
		"1e3": int64(1000), "1.50e1": int64(15), "1.5": nil, "18446744073709551616": nil, "1e99": nil, "1e-1": nil,
		"1/1": nil, "": nil, "0x10": nil, "1e": nil,
	} {
		got, ok := toInteger(literal)
		require.Equal(t, want != nil, ok, literal)
		require.Equal(t, want, got, literal)
	}
}

func TestTimesAreShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "-", 999: "999ns", 123456: "123µs", 12345678: "12.3ms", 1234 * time.Millisecond: "1.23s",
		90 * time.Minute: "1h30m0s",
	} {
		require.Equal(t, want, short(d))
	}
	require.Equal(t, "0.0015s", seconds(1500*time.Microsecond).String())
}

func TestSeedsSayWhatToBind(t *testing.T) {
	for seed, want := range map[string]string{
		"127.0.0.1:1": "127.0.0.1:0", "localhost:1": "127.0.0.1:0",
		"10.0.0.7:1": "0.0.0.0:0", "seed.example.org:1": bothFamilies(),
		"[::1]:1": "[::1]:0", "[2001:db8::7]:1": "[::]:0", "nothing": "127.0.0.1:0",
	} {
		require.Equal(t, want, bindFor([]string{seed}), seed)
	}
	require.Equal(t, "0.0.0.0:0", bindFor([]string{"127.0.0.1:1", "10.0.0.7:1"}))
	require.Equal(t, bothFamilies(), bindFor([]string{"seed.example.org:1", "10.0.0.7:1"}))
}

// A name may lead to addresses of either family, and of one only: the socket that is bound for it sends to both.
func TestANameIsReachedInEitherFamily(t *testing.T) {
	c, err := net.ListenPacket("udp", bindFor([]string{"seed.example.org:1"}))
	require.NoError(t, err)
	defer c.Close()
	for _, host := range []string{"127.0.0.1:0", "[::1]:0"} {
		seed, err := net.ListenPacket("udp", host)
		if err != nil {
			t.Logf("this system has no %s: %v", host, err)
			continue
		}
		defer seed.Close()
		_, err = c.WriteTo([]byte("hello"), seed.LocalAddr())
		require.NoError(t, err, host)
		require.NoError(t, seed.SetReadDeadline(time.Now().Add(5*time.Second)))
		_, _, err = seed.ReadFrom(make([]byte, 10))
		require.NoError(t, err, host)
	}
}

func TestEachCodeHasItsExitCode(t *testing.T) {
	for code, want := range map[broach.Code]int{
		broach.Application: 1, broach.Internal: 1, 1001: 1, broach.InvalidArgument: 2, broach.NotFound: 3,
		broach.Unavailable: 3, broach.Unreachable: 3, broach.CircuitOpen: 3, broach.Draining: 3, broach.Overloaded: 3,
		broach.DeadlineExceeded: 4, broach.Unauthenticated: 5,
	} {
		require.Equal(t, want, exitCode(&broach.Error{Code: code}), code)
	}
	require.Equal(t, 1, exitCode(errors.New("any")))
}

func TestTheNearestNameIsNear(t *testing.T) {
	require.Equal(t, "work01", nearest("Wrok01", []string{"greet", "work01"}))
	require.Empty(t, nearest("xyz", []string{"greet", "work01"}))
}

func TestNegativeNumbersAreNoFlags(t *testing.T) {
	for _, row := range [][2]string{
		{"call f -1 -.5 -Infinity -x", "call f m-1 m-.5 m-Infinity -x"},
		{"call f --key -1 -2", "call f --key -1 m-2"}, {"call f --key=x -1", "call f --key=x m-1"},
		{"call f --time -1", "call f --time m-1"}, {"bench f -c -1 -v -2", "bench f -c -1 -v m-2"},
		{"-s -1 call -o -1 f -2", "-s -1 call -o -1 f m-2"}, {"dev -- program -1", "dev -- program -1"},
	} {
		got := strings.Join(guardNegatives((&app{}).root(), strings.Fields(row[0])), " ")
		require.Equal(t, row[1], strings.ReplaceAll(got, negativeMark, "m"))
	}
}

func TestCellsAreNoFormulas(t *testing.T) {
	l, out := listing{columns: columnsOf("A", "B", "C")}, &strings.Builder{}
	l.add(nil, "=cmd|' /C calc'!A0", "+1+1", "-1.5")
	l.add(nil, "@x", "-", "a=b")
	require.NoError(t, l.writeCSV(out))
	require.Equal(t, "a,b,c\n'=cmd|' /C calc'!A0,'+1+1,-1.5\n'@x,-,a=b\n", out.String())
}

func TestMembersThatStayAdvertiseWhatTheEnvironmentSays(t *testing.T) {
	t.Setenv("BROACH_ADVERTISE", "192.0.2.7:9")
	a := &app{log: io.Discard, timeout: time.Second}
	cfg, err := a.memberConfig("127.0.0.1:7000", "seed")
	require.NoError(t, err)
	require.Equal(t, []string{"127.0.0.1:7000", "192.0.2.7:9"}, []string{cfg.Addr, cfg.Advertise})
	cfg, err = a.memberConfig("", "seed")
	require.NoError(t, err)
	require.Equal(t, []string{defaultSeed, "192.0.2.7:9"}, []string{cfg.Addr, cfg.Advertise})

	ctx, cancel := context.WithCancel(t.Context())
	cancel() // there is no seed
	s, err := a.serving(ctx, "gateway", "127.0.0.1:0")
	require.NoError(t, err)
	defer s.Close()
	require.Equal(t, "192.0.2.7:9", s.Addr().String())
}

// What encoding/json changes without a word is refused, and what it can not print is printed all the same.
func TestArgumentsAndResultsStayWhatTheyAre(t *testing.T) {
	anything := broach.Type{Kind: "any"}
	for text, want := range map[string]string{
		`{"a": 1, "a": 2}`:                 `the key "a" is there twice`,
		`[{"b": {"c": 1, "c": [2]}}]`:      `the key "c" is there twice`,
		`"\ud800"`:                         "half of a surrogate pair",
		`{"\udc00x": 1}`:                   "half of a surrogate pair",
		`18446744073709551616`:             "is larger than",
		`[1, {"a": -9223372036854775809}]`: "is larger than",
		`[1e400]`:                          "is larger than",
		`{"a": 1, "\u0061": 2}`:            `the key "a" is there twice`,
		`["\ufffd", "\ud800"]`:             "half of a surrogate pair",
		`["\\ud800", "\udc00\ud800"]`:      "half of a surrogate pair",
		"\"\xff\"":                         "not UTF-8",
	} {
		_, err := argument(text, anything, nil)
		require.ErrorContains(t, err, want, text)
	}
	for _, text := range []string{`{"a": {"a": 1}, "b": {"a": 2}}`, `["a", "a", {"a": "a"}]`, `"\ufffd"`, `"�"`,
		`"\ud83d\ude00"`, `"\\ud800"`, `18446744073709551615`, `1e30`, `[[], {}, [{}]]`} {
		_, err := argument(text, anything, nil)
		require.NoError(t, err, text)
	}
	items := itemsIn(strings.NewReader(`{"a": 1} {"a": 1, "a": 2}`), anything, nil)
	var last error
	for _, last = range items {
	}
	require.ErrorContains(t, last, `item 2: the key "a" is there twice`)
	key := broach.Type{Kind: "int"}
	_, err := argument(`{"1": 1, "1e0": 2}`, broach.Type{Kind: "map", Key: &key, Elem: &anything}, nil)
	require.ErrorContains(t, err, "is there twice")
	_, err = argument(`{"[1]": 1}`, broach.Type{Kind: "map", Key: &anything, Elem: &anything}, nil)
	require.ErrorContains(t, err, "can not be sent")
	got, err := marshal(resultOf([]map[float64]int{{math.NaN(): 1, 0.5: 2}}, nil))
	require.NoError(t, err)
	require.Equal(t, `[{"0.5":2,"NaN":1}]`, got)
}

// A document takes time by its length, whatever stands in it: it may be all of standard input.
func TestLargeArgumentsAreReadOnce(t *testing.T) {
	text := "[" + strings.Repeat(`"\ufffd",`, 200_000) + "0]"
	began := time.Now()
	_, err := parseJSON(text)
	require.NoError(t, err)
	require.Less(t, time.Since(began), 10*time.Second,
		"a tenth of a second as a rule; ten minutes where all is searched for each text")
}

// Nothing is waited for when all calls have begun, and a time ends when it is over, however few calls it has.
func TestBenchWaitsForNoCallTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := func(b benchFlags, n int64) (took time.Duration, ok bool) {
			began := time.Now()
			_, ok = (&benchRun{benchFlags: b}).waitFor(t.Context(), began, n)
			return time.Since(began), ok
		}
		took, ok := wait(benchFlags{count: 1, rate: 0.1, within: time.Second}, 2)
		require.False(t, ok)
		require.Zero(t, took)
		took, ok = wait(benchFlags{count: 2, rate: 0.1, within: time.Second}, 2)
		require.True(t, ok)
		require.Equal(t, 10*time.Second, took)
		took, ok = wait(benchFlags{rate: 0.1, within: time.Second}, 2)
		require.False(t, ok)
		require.Equal(t, time.Second, took)
	})
}
