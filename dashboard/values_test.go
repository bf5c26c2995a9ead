package dashboard

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"broach/broachtest"
)

type part struct {
	Name  string
	Big   uint64
	Raw   []byte
	At    time.Time
	Takes time.Duration
	Next  *part
	Of    map[int]string
}

// What is typed into the form arrives as the function declares it, exactly, and comes back so.
func TestArgumentsAreExact(t *testing.T) {
	n := broachtest.New(t).Start("shop")
	var got part
	require.NoError(t, n.Register("keep", func(p part, more ...int64) (part, []int64) { got = p; return p, more }))
	p := pageOf(t, n, Token(token), AllowCalls("k*"))
	w := ask(p, authorized(request("POST", "/api/call", `{"Name":"keep","Args":"[{`+
		`\"Name\":\"a\",\"Big\":18446744073709551615,\"Raw\":\"AAH/\",\"At\":\"2026-01-31T08:00:00Z\",`+
		`\"Takes\":\"1.5s\",\"Next\":{\"Name\":\"b\"},\"Of\":{\"-7\":\"x\"}}, `+
		`9007199254740993, -9223372036854775808]"}`)))
	require.Equal(t, 200, w.Code, w.Body)
	require.Equal(t, part{Name: "a", Big: math.MaxUint64, Raw: []byte{0, 1, 255},
		At: time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC), Takes: 1500 * time.Millisecond,
		Next: &part{Name: "b"}, Of: map[int]string{-7: "x"}}, got)
	out := decode[callAnswer](t, w.Body)
	require.Empty(t, out.Replies[0].Code)
	for _, text := range []string{
		"18446744073709551615", "9007199254740993", "-9223372036854775808", `"AAH/"`, `"-7": "x"`,
	} {
		require.Contains(t, out.Replies[0].Value, text)
	}
}

func TestArgumentsThatDoNotFit(t *testing.T) {
	n := broachtest.New(t).Start("shop")
	require.NoError(t, n.Register("f", func(int8, part, [2]bool, float32) {}))
	d, err := n.Describe(t.Context(), "f")
	require.NoError(t, err)
	const ok = `[1, {}, [true,false], 1.5]`
	_, err = arguments(&d, ok)
	require.NoError(t, err)
	for args, want := range map[string]string{
		`{"a":1}`:                                               "no JSON array",
		`[1, {}, [true,false], 1.5] 1`:                          "something after",
		`[1]`:                                                   "takes 4 arguments, there are 1",
		`[1, {}, [true,false], 1, 2]`:                           "takes 4 arguments, there are 5",
		`[128, {}, [true,false], 1]`:                            "argument 1: 128 is no int8",
		`[1.5, {}, [true,false], 1]`:                            "argument 1: 1.5 is no int8",
		`["1", {}, [true,false], 1]`:                            "argument 1: a number is wanted",
		`[1, {"nme":1}, [true,true],1]`:                         `has no field "nme"`,
		`[1, {"Raw":"%"}, [true,true], 1]`:                      "Raw: bytes are wanted",
		`[1, {"At":"now"}, [true,true], 1]`:                     "At: a time is wanted",
		`[1, {"Of":{"x":"y"}}, [true,true], 1]`:                 `key "x": x is no int`,
		`[1, {"Next":{"Next":{"Takes":true}}}, [true,true], 1]`: "Next: Next: Takes: a duration is wanted",
		`[1, {}, [true], 1]`:                                    "a list is wanted, as of [2]bool",
		`[1, {}, [true,0], 1]`:                                  "[1]: true or false is wanted",
		`[1, {}, [true,false], 1e99]`:                           "1e99 is no float32",
		`[1, null, [true,false], 1]`:                            "an object is wanted",
	} {
		_, err := arguments(&d, args)
		require.ErrorContains(t, err, want, args)
	}
}

func TestResultsThatJSONCannotSay(t *testing.T) {
	text, isCut := textOf(map[any]any{1: math.NaN(), "x": []any{math.Inf(1), nil, []byte("a")}})
	require.JSONEq(t, `{"1":"NaN","x":["+Inf",null,"YQ=="]}`, text)
	require.False(t, isCut)
	_, isCut = textOf(make([]int, resultMost))
	require.True(t, isCut)
}
